/**
 * Terms with weights in 32-bit floats, as Anserini's FeatureVector holds them; norms are 64-bit. Results are equal to
 * Anserini's only if every step is rounded like there.
 */
export type TermWeights = ReadonlyMap<string, number>;

const f = Math.fround;

/** Returns the terms with the largest weights; of equal weights, those that come first in the alphabet. */
export function strongestTerms(weights: TermWeights, count: number): TermWeights {
  const sorted = [...weights].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  return new Map(sorted.slice(0, count));
}

export function sumNorm(weights: TermWeights): number {
  let sum = 0;
  for (const weight of weights.values()) sum += Math.abs(weight);
  return sum;
}

export function euclideanNorm(weights: TermWeights): number {
  let sum = 0;
  for (const weight of weights.values()) sum += weight ** 2;
  return Math.sqrt(sum);
}

export function dividedBy(weights: TermWeights, norm: number): TermWeights {
  return new Map(Array.from(weights, ([term, weight]) => [term, f(weight / norm)]));
}
