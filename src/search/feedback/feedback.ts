import type { DocumentTerms } from '../bm25/document-terms.ts';
import type { WeightedTerms } from '../bm25/term-queries.ts';

/** One of the first documents of a query. */
export interface FeedbackDocument {
  terms: DocumentTerms;
  /** BM25 score of the first search. */
  score: number;
}

/** What feedback knows about the corpus. */
export interface FeedbackCorpus {
  /** Number of documents. */
  size: number;
  documentsWith(term: string): number;
}

export interface FeedbackSettings {
  /** Number of terms to take from the documents. */
  terms: number;
  /** Weight of what the documents add. */
  weight: number;
  /** Take only terms of the letters a to z and digits, as Anserini does for English. */
  onlyLatin: boolean;
}

/**
 * Makes the query of the second search from that of the first and from its first documents, in their order.
 * @param query how often each term occurs in the query
 */
export type TermFeedback = (
  query: DocumentTerms,
  documents: readonly FeedbackDocument[],
  corpus: FeedbackCorpus,
  settings: FeedbackSettings,
) => WeightedTerms;
