import { candidateTerms } from './candidate-terms.ts';
import type { TermFeedback } from './feedback.ts';
import { dividedBy, strongestTerms, sumNorm } from './term-weights.ts';

const f = Math.fround;

/** Documents whose weights sum up to less have no term to give. */
const SMALLEST_NORM = f(0.001);

/**
 * RM3 (Abdul-Jaleel et al. 2004), as Anserini's Rm3Reranker: the relevance model of the documents' most frequent terms,
 * each document weighted by its score, mixed with the query.
 */
export const rm3: TermFeedback = (query, documents, corpus, { terms, weight, onlyLatin }) => {
  const vectors = documents.map((document) => strongestTerms(candidateTerms(document.terms, corpus, onlyLatin), terms));
  const model = new Map<string, number>();
  for (const [at, vector] of vectors.entries()) {
    const norm = f(sumNorm(vector));
    if (!(norm > SMALLEST_NORM)) continue;
    for (const [term, frequency] of vector) {
      const share = f(f(frequency / norm) * documents[at]!.score);
      model.set(term, f((model.get(term) ?? 0) + share));
    }
  }
  const strongest = strongestTerms(model, terms);
  const relevance = dividedBy(strongest, sumNorm(strongest));
  const original = dividedBy(query, sumNorm(query));
  const ownWeight = f(1 - weight);
  const weights = new Map<string, number>();
  for (const term of [...original.keys(), ...relevance.keys()]) {
    const own = f(ownWeight * (original.get(term) ?? 0));
    weights.set(term, f(own + (1 - ownWeight) * (relevance.get(term) ?? 0)));
  }
  return { weights, timesIdf: true };
};
