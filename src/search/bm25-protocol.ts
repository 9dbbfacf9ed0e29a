import type { Postings, TermQueries } from './bm25-scorer.ts';

export interface Bm25WorkerData {
  /** In shared memory. */
  postings: Postings;
}

/** Some queries for a thread; answered once, in order, by {@link RankedLists}. */
export interface Bm25Request {
  queries: TermQueries;
  /** Documents a query. */
  k: number;
}

/** The best documents of some queries, one query behind another, best first. */
export interface RankedLists {
  scores: Float32Array;
  /** Document numbers. */
  numbers: Uint32Array;
  /** Number of documents of each query // [queries] */
  counts: Uint32Array;
}
