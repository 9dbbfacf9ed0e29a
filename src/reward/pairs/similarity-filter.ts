import type { RewardRecord } from '../../data/index.ts';

/** The filter of queries: it keeps those whose best similarity is not below the threshold. */
export interface SimilarityFilter {
  /**
   * Whether the cosine to the answer counts too. It does if every query has an answer, as is the case if a reward reads
   * answers. A sum of two cosines is not comparable to one cosine.
   */
  withAnswer: boolean;
  threshold: number;
}

/**
 * The best similarity of a query: the maximum over its candidates of the cosine to the gold document plus the cosine to
 * the answer (method, stage 6), or of the cosine to the gold document only.
 */
export function bestSimilarity(
  records: readonly Pick<RewardRecord, 'similarity'>[],
  { withAnswer }: Pick<SimilarityFilter, 'withAnswer'>,
): number {
  const of = ({ gold, answer }: RewardRecord['similarity']) => (gold ?? 0) + (withAnswer ? (answer ?? 0) : 0);
  return Math.max(...records.map(({ similarity }) => of(similarity)));
}
