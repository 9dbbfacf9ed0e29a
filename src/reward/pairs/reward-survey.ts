import { IdSet } from '../../files/index.ts';
import { readRewardGroups } from '../query-groups.ts';
import { quantile } from './distribution.ts';
import type { PairSettings } from './pair-settings.ts';
import { bestSimilarity, type SimilarityFilter } from './similarity-filter.ts';

/** Facts about a file of rewards that are needed before pairs are built from it. */
export interface RewardSurvey {
  /** The queries that have rewards. */
  queries: IdSet;
  filter: SimilarityFilter;
}

/**
 * Reads the rewards once. The filter's threshold is the one in the settings, or the quantile of all queries' best
 * similarities. A fixed threshold suits one encoder only; the quantile drops the same fraction with any encoder.
 */
export async function surveyRewards(
  rewards: string,
  { minSimilarity, similarityQuantile }: Pick<PairSettings, 'minSimilarity' | 'similarityQuantile'>,
  signal?: AbortSignal,
): Promise<RewardSurvey> {
  const queries = new IdSet();
  const best = { gold: [] as number[], summed: [] as number[] };
  let withAnswer = true;
  for await (const { queryId, records } of readRewardGroups(rewards, signal)) {
    queries.add(queryId);
    withAnswer &&= records.every(({ similarity }) => similarity.answer !== undefined);
    if (similarityQuantile === undefined) continue;
    best.gold.push(bestSimilarity(records, { withAnswer: false }));
    best.summed.push(bestSimilarity(records, { withAnswer: true }));
  }
  if (similarityQuantile === undefined) return { queries, filter: { withAnswer, threshold: minSimilarity } };
  const sorted = Float64Array.from(withAnswer ? best.summed : best.gold).sort();
  return { queries, filter: { withAnswer, threshold: quantile(sorted, similarityQuantile) } };
}
