/** A query of a data set, with the expansions that its file holds, if any. */
export interface Query {
  id: string;
  text: string;
  /** Expansions of the query, from BEIR's `text: [query, e1, ..., eN]`. */
  expansions?: string[];
}

/** A document of a corpus. */
export interface Document {
  id: string;
  title: string;
  text: string;
  /** The other fields of its line, unchanged; missing if there are none. */
  metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** Returns the text that is indexed: title, blank, text; without a title, the text alone (method, stage 12). */
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
  /** The passage, without thoughts and boilerplate opening. */
  text: string;
  /** Everything that the LLM wrote, if it differs from the text. */
  raw?: string | undefined;
  /** Why there is no text, if that is known. */
  emptyBecause?: 'blankQuery' | 'promptTooLong' | 'contentFilter' | 'unfinishedThought' | undefined;
  /** `stop`: the LLM ended the passage; `length`: it was cut at the token limit. */
  finish: 'stop' | 'length';
  promptTokens: number;
  completionTokens: number;
  /** Mean log-probability of its tokens, if whoever wrote it recorded that. */
  logProbability?: number | undefined;
  /** Wall time of this sample, in milliseconds (samples that ran side by side each count the time they shared); 0 in deterministic runs. */
  milliseconds: number;
  /** Content key of all that decides the text: generator, context, prompt, sampling settings, seed, format. */
  key: string;
  /** How often the query stood before the text in a file of another program. */
  queryRepeats?: number | undefined;
}
