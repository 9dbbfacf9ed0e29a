/** A query of a data set, with the expansions that its file may already hold. */
export interface Query {
  id: string;
  text: string;
  /** Passages that stand for the query; BEIR's `text: [query, e1, ..., eN]`. */
  expansions?: string[];
}

/** A document of a corpus. */
export interface Document {
  id: string;
  title: string;
  text: string;
  /** The other fields of its line, as they stand there; missing if there are none. */
  metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** The text that is indexed: title, a blank, text; the text alone where there is no title (method, stage 12). */
export function documentText({ title, text }: Document): string {
  return title === '' ? text : `${title} ${text}`.trim();
}

/** A training triple in the layout of the Echo data, with an id. */
export interface Triple {
  id: string;
  query: string;
  positive: string;
  negative: string;
}

/** One generated expansion of a query, as a line of `expansions.jsonl`. */
export interface Expansion {
  /** Id of the query. */
  query: string;
  /** 0-based number of the sample. */
  sample: number;
  /** The passage, thoughts and boilerplate opening cut off. */
  text: string;
  /** The passage as the LLM wrote it, where that differs. */
  raw?: string | undefined;
  /** Why there is no text, where that is known. */
  emptyBecause?: 'blankQuery' | 'promptTooLong' | 'unfinishedThought' | undefined;
  /** `stop`: the LLM ended the passage; `length`: it was cut at the token limit. */
  finish: 'stop' | 'length';
  promptTokens: number;
  completionTokens: number;
  /** Wall time of this sample, in milliseconds (samples that ran side by side each count the time they shared); 0 in deterministic runs. */
  milliseconds: number;
  /** Content key of all that decides the text: generator, context, prompt, sampling settings, seed, format. */
  key: string;
}
