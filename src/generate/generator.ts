/** One message of a chat. */
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** How tokens are sampled, in the published order: temperature, top-k, nucleus, draw. */
export interface Sampling {
  /** 0 always takes the most likely token. */
  temperature: number;
  /** Nucleus: the smallest set of tokens whose probability reaches it. 1 keeps every token. */
  topP: number;
  /** 0 keeps every token. */
  topK: number;
  /** Maximum number of new tokens. */
  maxTokens: number;
}

/** The part of a prompt that may be cut at its end if the prompt does not fit into the context. */
export interface CuttablePart {
  text: string;
  /** Returns the messages with another text in place of this part. */
  messagesWith(text: string): ChatMessage[];
}

/** A request for one completion. */
export interface GenerationRequest {
  /** Identifies the request among those in progress; the {@link Generation} carries the same id. */
  id: string;
  messages: ChatMessage[];
  /** Without it, a prompt that is too long is not cut: its generation is empty and has `promptTooLong`. */
  cuttable?: CuttablePart | undefined;
  sampling: Sampling;
  /** Seed of this sample, below 2^31. */
  seed: number;
  /** Ends the text early: what is written by then becomes its text, and the {@link Generation} says `stopped`. */
  until?: AbortSignal | undefined;
  /** Receives the whole text so far whenever it has grown. */
  onText?: ((text: string) => void) | undefined;
}

/** One completion. */
export interface Generation {
  id: string;
  text: string;
  finish: 'stop' | 'length';
  promptTokens: number;
  completionTokens: number;
  milliseconds: number;
  /** Mean log-probability of the text's tokens under the model itself (temperature 1), if the generator was asked for it. */
  logProbability?: number | undefined;
  /** Whether the end of the request's cuttable part was cut. */
  promptCut?: boolean | undefined;
  /** Whether nothing was written because the prompt alone is longer than the context. */
  promptTooLong?: boolean | undefined;
  /** Whether `until` of the request ended the text. */
  stopped?: boolean | undefined;
  /** Whether a server's content filter refused the prompt, or withheld or cut the text. */
  filtered?: boolean | undefined;
  /** The model's thoughts, from a server that returns them apart from the text. */
  reasoning?: string | undefined;
}

/** Completes chats: an embedded LLM or a server. */
export interface Generator {
  /** A name to show to users. */
  readonly id: string;
  /**
   * Content key of everything that decides the text except the request and {@link contextSize}: weights, adapters, chat template
   * and its variables, and device; for a server, its model and the extra fields of every call.
   */
  readonly fingerprint: string;
  /** Whether a run waits for the one before: then requests that come later belong into the run in progress. Default false. */
  readonly isExclusive?: boolean | undefined;
  /** Maximum number of tokens of prompt and text together: documents and texts are cut to it. Undefined if a server decides. */
  readonly contextSize?: number | undefined;
  /** How many requests it can have in progress, if many: writers then read so many ahead. */
  readonly ahead?: number | undefined;
  /**
   * Completes requests, several at a time, and yields each one as it ends. The order is not that of the requests, so join by id.
   *
   * Requests are pulled only when there is room. Those already pulled continue while the next one is awaited, because the source
   * may need their texts to decide what to request next. Put requests with the same messages next to one another: their prompt is
   * then computed once.
   */
  generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncIterable<Generation>;
  close(): Promise<void>;
}
