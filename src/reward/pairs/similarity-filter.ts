import type { RewardRecord } from '../../data/index.ts';

/** Which queries are kept: those whose best similarity is not below the threshold. */
export interface SimilarityFilter {
  /**
   * Whether the cosine to the answer counts too: where every query has one, as all do that earned a reward which reads answers.
   * A sum of two cosines cannot be held against one cosine.
   */
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
