import type { DocumentTerms } from '../bm25/document-terms.ts';
import type { FeedbackCorpus } from './feedback.ts';

const SHORTEST = 2;
const LONGEST = 20;

/** Terms in a larger share of the documents are taken for stop words. */
const LARGEST_SHARE = Math.fround(0.1);

/** Whether feedback may take a term, by its spelling (Anserini's heuristics). */
export function isCandidateTerm(term: string, onlyLatin: boolean): boolean {
  return term.length >= SHORTEST && term.length <= LONGEST && (!onlyLatin || /^[a-z0-9]+$/.test(term));
}

/** Returns the terms of a document that feedback may take: by their spelling, and not in more than a tenth of the corpus. */
export function candidateTerms(terms: DocumentTerms, corpus: FeedbackCorpus, onlyLatin: boolean): DocumentTerms {
  const kept = new Map<string, number>();
  for (const [term, frequency] of terms) {
    if (!isCandidateTerm(term, onlyLatin)) continue;
    if (Math.fround(corpus.documentsWith(term) / corpus.size) <= LARGEST_SHARE) kept.set(term, frequency);
  }
  return kept;
}
