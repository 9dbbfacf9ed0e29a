import { type CandidateSet, perCandidate } from './candidate-set.ts';
import type { Reward } from './reward.ts';

/** What a candidate is compared with. */
export type Target = 'gold' | 'answer';

/** A reward by how similar the candidates of a query are to one target; named after both, such as `rank-gold`. */
export abstract class TargetReward implements Reward {
  readonly name: string;
  abstract readonly fingerprint: string;
  readonly needsAnswer: boolean;
  readonly #target: Target;

  constructor(kind: string, target: Target) {
    this.name = `${kind}-${target}`;
    this.needsAnswer = target === 'answer';
    this.#target = target;
  }

  /** None where there is no such target. */
  async score(item: CandidateSet): Promise<Float32Array> {
    const similarities = item.similarities[this.#target];
    return similarities === undefined ? new Float32Array(0) : perCandidate(this.values(similarities), item);
  }

  /** What each distinct text earns, by its cosine // [distinct texts] both */
  protected abstract values(similarities: ArrayLike<number>): ArrayLike<number>;
}

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
 * How far a candidate stands out among its siblings (`zScore-gold`, `zScore-answer`): its cosine less the mean over the
 * distinct texts, in their standard deviations. Where all are alike, 0. So a query whose candidates all lie near the
 * gold document weighs as much in a mixture as one whose candidates all lie far from it.
 */
export class ZScoreReward extends TargetReward {
  readonly fingerprint = 'zScore/1';

  constructor(target: Target) {
    super('zScore', target);
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

/**
 * Ranks from 1, the highest value first. Equal values share the better rank, and the next one counts all that are better:
 * 0.9, 0.7, 0.7, 0.2 have ranks 1, 2, 2, 4.
 */
export function ranksOf(values: ArrayLike<number>): Int32Array {
  const sorted = Float64Array.from(values).sort().reverse();
  const ranks = new Map<number, number>();
  for (const [place, value] of sorted.entries()) if (!ranks.has(value)) ranks.set(value, place + 1);
  return Int32Array.from(values, (value) => ranks.get(value)!);
}

/**
 * Ranks of a query's candidates by similarity, among their distinct texts: exact duplicates share a rank and push nobody
 * down, so that a text earns the same however often it was sampled. Distinct texts of equal similarity share one too.
 *
 * @returns undefined where there is no such target // [candidates]
 */
export function similarityRanks(item: CandidateSet, target: Target): Int32Array | undefined {
  const similarities = item.similarities[target];
  return similarities && Int32Array.from(perCandidate(ranksOf(similarities), item));
}

/**
 * 1 / rank by similarity to the gold document (`rank-gold`) or to the answer (`rank-answer`) among the siblings. Their sum
 * is the published reward (arXiv 2502.17057, section 3.2). With several gold documents a candidate counts by the one that it
 * is nearest to.
 */
export class RankReward extends TargetReward {
  readonly fingerprint = 'rank/1';

  constructor(target: Target) {
    super('rank', target);
  }

  protected values(similarities: ArrayLike<number>): ArrayLike<number> {
    return Float64Array.from(ranksOf(similarities), (rank) => 1 / rank);
  }
}
