import { type CandidateSet, perCandidate } from './rewards/candidate-set.ts';
import { type Target, TargetReward } from './rewards/target-rewards.ts';

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
