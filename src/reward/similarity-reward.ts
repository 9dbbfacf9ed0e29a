import { type CandidateSet, perCandidate } from './candidate-set.ts';
import type { Target } from './rank-reward.ts';
import type { Reward } from './reward.ts';

/**
 * The cosine itself, to the gold document (`similarity-gold`) or to the answer (`similarity-answer`). Unlike a rank it
 * knows margins: a candidate that is ahead by a hair earns a hair more.
 */
export class SimilarityReward implements Reward {
  readonly name: string;
  readonly fingerprint = 'similarity/1';
  readonly needsAnswer: boolean;
  readonly #target: Target;

  constructor(target: Target) {
    this.name = `similarity-${target}`;
    this.needsAnswer = target === 'answer';
    this.#target = target;
  }

  async score(item: CandidateSet): Promise<Float32Array> {
    return perCandidate(item.similarities[this.#target] ?? [], item);
  }
}

/**
 * How far a candidate stands out among its siblings (`margin-gold`, `margin-answer`): its cosine less the mean over the
 * distinct texts, in their standard deviations. Where all are alike, 0. So a query whose candidates all lie near the
 * gold document weighs as much in a mixture as one whose candidates all lie far from it.
 */
export class MarginReward implements Reward {
  readonly name: string;
  readonly fingerprint = 'margin/1';
  readonly needsAnswer: boolean;
  readonly #target: Target;

  constructor(target: Target) {
    this.name = `margin-${target}`;
    this.needsAnswer = target === 'answer';
    this.#target = target;
  }

  async score(item: CandidateSet): Promise<Float32Array> {
    return perCandidate(standardized(item.similarities[this.#target] ?? []), item);
  }
}

/** Values less their mean, over their standard deviation (that of the population); zeros where all are equal. */
export function standardized(values: ArrayLike<number>): Float64Array {
  const list = Float64Array.from(values);
  const mean = list.reduce((sum, value) => sum + value, 0) / Math.max(1, list.length);
  const variance = list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, list.length);
  const deviation = Math.sqrt(variance);
  // Below this it is rounding: the cosines have six digits.
  return deviation < 1e-9 ? new Float64Array(list.length) : list.map((value) => (value - mean) / deviation);
}
