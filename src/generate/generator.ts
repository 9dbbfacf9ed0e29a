/** One message of a chat. */
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** How tokens are drawn, in the published order: temperature, then top-k, then the nucleus, then the draw. */
export interface Sampling {
  /** 0 takes the likeliest token each time. */
  temperature: number;
  /** Nucleus: the smallest set of tokens whose probability reaches it; 1 leaves all in. */
  topP: number;
  /** 0 leaves all tokens in. */
  topK: number;
  /** Limit on new tokens. */
  maxTokens: number;
}

/** The part of a prompt that may lose its end where the whole does not fit into the context. */
export interface CuttablePart {
  text: string;
  /** The messages with another text in its place. */
  messagesWith(text: string): ChatMessage[];
}

/** One completion that is asked for. */
export interface GenerationRequest {
  /** Identifies the request among those under way; comes back on the {@link Generation}. */
  id: string;
  messages: ChatMessage[];
  /** Without it a prompt that is too long is an error. */
  cuttable?: CuttablePart | undefined;
  sampling: Sampling;
  /** Seed of this sample alone, below 2^31. */
  seed: number;
}

/** One completion. */
export interface Generation {
  id: string;
  text: string;
  finish: 'stop' | 'length';
  promptTokens: number;
  completionTokens: number;
  milliseconds: number;
  /** Whether the request's cuttable part lost its end. */
  promptCut?: boolean | undefined;
  /** Whether nothing was written, since the prompt alone is longer than the context. */
  promptTooLong?: boolean | undefined;
  /** What the model thought, from a server that keeps thoughts apart from the text. */
  reasoning?: string | undefined;
}

/** Something that completes chats: an embedded LLM or a server. */
export interface Generator {
  /** A name for people. */
  readonly id: string;
  /**
   * Content key of all that decides the text besides the request and {@link contextSize}: weights, adapters, template and its variables,
   * device; or the server's model and what every call says to it.
   */
  readonly fingerprint: string;
  /** Tokens that prompt and text may have together: documents and texts are cut to it. Undefined where a server decides. */
  readonly contextSize?: number | undefined;
  /**
   * Completes requests, several at a time, and yields each as it ends: in no particular order, so join by id. Requests
   * are pulled only when there is room, and while the next one is waited for, those that were pulled go on: what is asked
   * next may depend on their texts. Requests for the same messages should stand next to one another: their prompt
   * is then computed once.
   */
  generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncIterable<Generation>;
  close(): Promise<void>;
}
