/** A document of an example. */
export interface ExampleDocument {
  /** Hash of the text: equal texts are one document. */
  key: string;
  /** In the corpus it comes from, if known. */
  id?: string | undefined;
  tokens: Int32Array;
  /** Its number among the documents of all rows. */
  number?: number | undefined;
}

/** A training row as tokens; as JSON, plain data. */
export interface RetrieverExample {
  id: string;
  /** Hash of what is asked: rows of one query in one batch are not each other's negatives. */
  queryKey: string;
  query: Int32Array | undefined;
  expansions: readonly Int32Array[];
  /** Query and expansions as one text, for the side `concat`. */
  joined: Int32Array | undefined;
  positives: readonly ExampleDocument[];
  negatives: readonly ExampleDocument[];
  /** Keys and ids of everything that is relevant to the query, by this row or another of the same query. */
  judged: readonly string[];
  /** Numbers of the texts of the query among those of all rows; -1 for one that is missing. */
  numbers?: { query: number; joined: number; expansions: readonly number[] } | undefined;
  scores?: { positives: readonly number[]; negatives: readonly number[] } | undefined;
}
