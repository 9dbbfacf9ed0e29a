import type { RetrieverName } from '../../shapes/judge.ts';

export const RETRIEVERS: Record<RetrieverName, string> = {
  dense: 'dense (vectors)',
  bm25: 'BM25 (words)',
  rrf: 'fused (both)',
};

/** What the grades mean, by grade. */
export const GRADES = ['not relevant', 'related', 'relevant', 'perfect'] as const;

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
