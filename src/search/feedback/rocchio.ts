import { candidateTerms } from './candidate-terms.ts';
import type { TermFeedback } from './feedback.ts';
import { dividedBy, euclideanNorm, strongestTerms } from './term-weights.ts';

const f = Math.fround;

/** Documents with a smaller norm have no term to give. */
const SMALLEST_NORM = f(0.001);

/**
 * Rocchio's feedback, as Anserini's RocchioReranker without negative documents: the query, of length 1, plus `weight` times the
 * mean of the documents' term vectors, of length 1 each; the mean is cut to the strongest terms and has length 1 again. Unlike
 * RM3 it takes terms of any script.
 */
export const rocchio: TermFeedback = (query, documents, corpus, { terms, weight }) => {
  const sums = new Map<string, number>();
  for (const document of documents) {
    const vector = candidateTerms(document.terms, corpus, false);
    const norm = f(euclideanNorm(vector));
    if (!(norm > SMALLEST_NORM)) continue;
    for (const [term, frequency] of vector) sums.set(term, f((sums.get(term) ?? 0) + f(frequency / norm)));
  }
  const means = new Map(Array.from(sums, ([term, sum]) => [term, f(sum / documents.length)]));
  const strongest = strongestTerms(means, terms);
  const mean = dividedBy(strongest, euclideanNorm(strongest));
  const original = dividedBy(query, euclideanNorm(query));
  const weights = new Map<string, number>();
  for (const term of [...original.keys(), ...mean.keys()]) {
    weights.set(term, f((original.get(term) ?? 0) + f(f(weight) * (mean.get(term) ?? 0))));
  }
  return { weights, timesIdf: true };
};
