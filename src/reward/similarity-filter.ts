import type { RewardRecord } from '../data/index.ts';
import { quantile } from './distribution.ts';
import type { PairSettings } from './pair-settings.ts';
import { readRewardGroups } from './query-groups.ts';

/** Which queries are kept: those whose best similarity is not below the threshold. */
export interface SimilarityFilter {
  /** Whether the cosine to the answer counts too. */
  withAnswer: boolean;
  threshold: number;
}

/**
 * The best similarity of a query: the largest over its candidates of cosine to the gold document plus cosine to the answer
 * (method, stage 6), or of the cosine to the gold document alone.
 */
export function bestSimilarity(
  records: readonly Pick<RewardRecord, 'similarity'>[],
  { withAnswer }: Pick<SimilarityFilter, 'withAnswer'>,
): number {
  const of = ({ gold, answer }: RewardRecord['similarity']) => (gold ?? 0) + (withAnswer ? (answer ?? 0) : 0);
  return Math.max(...records.map(({ similarity }) => of(similarity)));
}

/**
 * Reads the rewards once and says how their queries are filtered. The answer counts where every query has one, as all do
 * that earned a reward which reads answers: a sum of two cosines cannot be held against one cosine. The threshold is the one
 * that was set, or the quantile of all queries' best similarities. A threshold that was set for one encoder means nothing for
 * another; the quantile drops the same share with any.
 */
export async function readSimilarityFilter(
  rewards: string,
  { minSimilarity, similarityQuantile }: Pick<PairSettings, 'minSimilarity' | 'similarityQuantile'>,
  signal?: AbortSignal,
): Promise<SimilarityFilter> {
  const best = { gold: [] as number[], summed: [] as number[] };
  let withAnswer = true;
  for await (const { records } of readRewardGroups(rewards, signal)) {
    withAnswer &&= records.every(({ similarity }) => similarity.answer !== undefined);
    best.gold.push(bestSimilarity(records, { withAnswer: false }));
    best.summed.push(bestSimilarity(records, { withAnswer: true }));
  }
  if (similarityQuantile === undefined) return { withAnswer, threshold: minSimilarity };
  const sorted = Float64Array.from(withAnswer ? best.summed : best.gold).sort();
  return { withAnswer, threshold: quantile(sorted, similarityQuantile) };
}
