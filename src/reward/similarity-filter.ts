import type { RewardRecord } from '../data/index.ts';
import { quantile } from './distribution.ts';
import type { PairSettings } from './pair-settings.ts';
import { readRewardGroups } from './query-groups.ts';

/**
 * The best summed similarity of a query: the largest over its candidates of cosine to the gold document plus cosine to the
 * answer (method, stage 6). Where there is no answer, of the cosine to the gold document alone.
 */
export function bestSimilarity(records: readonly Pick<RewardRecord, 'similarity'>[]): number {
  return Math.max(...records.map(({ similarity }) => (similarity.gold ?? 0) + (similarity.answer ?? 0)));
}

/**
 * The similarity below which a query is dropped: the one that was set, or the quantile of all queries' best summed
 * similarities, for which the rewards are read once. A threshold that was set for one encoder means nothing for another;
 * the quantile drops the same share with any.
 */
export async function resolveThreshold(
  rewards: string,
  { minSimilarity, similarityQuantile }: Pick<PairSettings, 'minSimilarity' | 'similarityQuantile'>,
  signal?: AbortSignal,
): Promise<number> {
  if (similarityQuantile === undefined) return minSimilarity;
  const best: number[] = [];
  for await (const { records } of readRewardGroups(rewards, signal)) best.push(bestSimilarity(records));
  return quantile(Float64Array.from(best).sort(), similarityQuantile);
}
