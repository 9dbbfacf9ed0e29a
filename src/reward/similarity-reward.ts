import { type Target, TargetReward } from './rewards/target-rewards.ts';

/**
 * The cosine itself, to the gold document (`similarity-gold`) or to the answer (`similarity-answer`). Unlike a rank it
 * knows margins: a candidate that is ahead by a hair earns a hair more.
 */
export class SimilarityReward extends TargetReward {
  readonly fingerprint = 'similarity/1';

  constructor(target: Target) {
    super('similarity', target);
  }

  protected values(similarities: ArrayLike<number>): ArrayLike<number> {
    return similarities;
  }
}

/**
 * How far a candidate stands out among its siblings (`margin-gold`, `margin-answer`): its cosine less the mean over the
 * distinct texts, in their standard deviations. Where all are alike, 0. So a query whose candidates all lie near the
 * gold document weighs as much in a mixture as one whose candidates all lie far from it.
 */
export class MarginReward extends TargetReward {
  readonly fingerprint = 'margin/1';

  constructor(target: Target) {
    super('margin', target);
  }

  protected values(similarities: ArrayLike<number>): ArrayLike<number> {
    return standardized(similarities);
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
