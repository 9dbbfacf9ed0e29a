import type { Postings, TermQueries } from './bm25-scorer.ts';

export interface Bm25WorkerData {
  /** In shared memory. */
  postings: Postings;
}

/** Queries for a thread, which answers with one {@link RankedLists}, in order. */
export interface Bm25Request {
  queries: TermQueries;
  /** Documents per query. */
  k: number;
}

/** The best documents of several queries, in the order of the queries, best first. */
export interface RankedLists {
  scores: Float32Array;
  /** Document numbers. */
  numbers: Uint32Array;
  /** Number of documents of each query // [queries] */
  counts: Uint32Array;
}
