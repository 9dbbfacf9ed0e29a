import { type CandidateSet, perCandidate } from './candidate-set.ts';
import type { Reward } from './reward.ts';

/** What a candidate is compared with. */
export type Target = 'gold' | 'answer';

/**
 * A reward by the similarity of a query's candidates to one target, named after kind and target, such as `rank-gold`.
 */
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

  /** Empty if there is no such target. */
  async score(item: CandidateSet): Promise<Float32Array> {
    const similarities = item.similarities[this.#target];
    return similarities === undefined ? new Float32Array(0) : perCandidate(this.values(similarities), item);
  }

  /** The reward of each distinct text, given its cosine // [distinct texts] both */
  protected abstract values(similarities: ArrayLike<number>): ArrayLike<number>;
}

/**
 * The cosine itself, to the gold document (`similarity-gold`) or to the answer (`similarity-answer`). Unlike a rank, it
 * reflects margins: a candidate that is slightly closer has a slightly higher reward.
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
 * How far a candidate stands out among its siblings (`zScore-gold`, `zScore-answer`): its cosine minus the mean over
 * the distinct texts, in standard deviations; 0 if all are equal. In a mixture, a query whose candidates are all close
 * to the gold document weighs as much as one whose candidates are all far from it.
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

/** The values minus their mean, divided by their (population) standard deviation; zeros if all are equal. */
export function standardized(values: ArrayLike<number>): Float64Array {
  const list = Float64Array.from(values);
  const mean = list.reduce((sum, value) => sum + value, 0) / Math.max(1, list.length);
  const variance = list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, list.length);
  const deviation = Math.sqrt(variance);
  // A smaller deviation is rounding: the cosines have six digits.
  return deviation < 1e-9 ? new Float64Array(list.length) : list.map((value) => (value - mean) / deviation);
}

/**
 * Ranks from 1, highest value first. Equal values share the better rank, and the next rank counts all better values:
 * 0.9, 0.7, 0.7, 0.2 have ranks 1, 2, 2, 4.
 */
export function ranksOf(values: ArrayLike<number>): Int32Array {
  const sorted = Float64Array.from(values).sort().reverse();
  const ranks = new Map<number, number>();
  for (const [place, value] of sorted.entries()) if (!ranks.has(value)) ranks.set(value, place + 1);
  return Int32Array.from(values, (value) => ranks.get(value)!);
}

/**
 * Ranks a query's candidates by similarity, among their distinct texts. Exact duplicates share a rank and do not lower
 * others, so a text has the same rank however often it was sampled. Distinct texts of equal similarity also share a
 * rank.
 *
 * @returns undefined if there is no such target // [candidates]
 */
export function similarityRanks(item: CandidateSet, target: Target): Int32Array | undefined {
  const similarities = item.similarities[target];
  return similarities && Int32Array.from(perCandidate(ranksOf(similarities), item));
}

/**
 * 1 / rank by similarity to the gold document (`rank-gold`) or to the answer (`rank-answer`) among the siblings. Their
 * sum is the published reward (arXiv 2502.17057, section 3.2). With several gold documents, the nearest one counts.
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
