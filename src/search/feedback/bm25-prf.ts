import { isCandidateTerm } from './candidate-terms.ts';
import type { FeedbackCorpus, FeedbackDocument, TermFeedback } from './feedback.ts';
import { strongestTerms } from './term-weights.ts';

/** Documents that must hold a term. */
const FEWEST_HOLDERS = 2;

const LEAST_WEIGHT = 1e-6;

/**
 * BM25's own feedback (Robertson and Spärck Jones's relevance weights in place of idf), as Anserini's BM25PrfReranker: terms of
 * at least two documents with the largest offer weight (Sakai and Robertson 2002) are added with `weight`; repetitions in
 * the query do not count. Of equal offer weights, the term that comes first in the alphabet is taken, where Anserini leaves it to
 * the order of a hash table.
 */
export const bm25Prf: TermFeedback = (query, documents, corpus, { terms, weight, onlyLatin }) => {
  const holders = countHolders(documents);
  const offers = new Map<string, number>();
  for (const [term, held] of holders) {
    const isWord = isCandidateTerm(term, onlyLatin) && !/^[0-9]+$/.test(term);
    if (query.has(term) || !isWord || held < FEWEST_HOLDERS) continue;
    const relevance = relevanceWeight(term, held, documents.length, corpus, Math.fround(weight));
    offers.set(term, Math.fround(relevance * Math.log(held)));
  }
  const weights = new Map<string, number>();
  for (const term of strongestTerms(offers, terms).keys()) {
    const relevance = relevanceWeight(term, holders.get(term)!, documents.length, corpus, Math.fround(weight));
    weights.set(term, Math.fround(relevance));
  }
  for (const term of query.keys()) {
    weights.set(term, Math.fround(relevanceWeight(term, holders.get(term) ?? 0, documents.length, corpus, 1)));
  }
  return { weights, timesIdf: false };
};

/** Returns how many of the documents hold each term. */
function countHolders(documents: readonly FeedbackDocument[]): Map<string, number> {
  const holders = new Map<string, number>();
  for (const { terms } of documents) {
    for (const term of terms.keys()) holders.set(term, (holders.get(term) ?? 0) + 1);
  }
  return holders;
}

/** @param held how many of the `read` documents hold the term */
function relevanceWeight(term: string, held: number, read: number, corpus: FeedbackCorpus, weight: number): number {
  const holders = corpus.documentsWith(term);
  const odds =
    ((held + 0.5) * (corpus.size - holders - read + held + 0.5)) / ((holders - held + 0.5) * (read - held + 0.5));
  return Math.max(Math.log(odds) * weight, LEAST_WEIGHT);
}
