import type { Qrels } from './records.ts';

/**
 * The rule of self-retrieval. In some collections the query is itself a document (ArguAna, Quora): finding it is no merit, so the
 * document whose id equals the query's is left out. In others queries and documents are both numbered from 1 and only happen
 * to share ids: a document that the judgements call relevant to the query of its own id is no copy of the query, and stays.
 */
export interface SelfRetrieval {
  /** Whether documents are left out at all. */
  dropped: boolean;
  /** Queries that judge the document of their own id relevant, and so keep it. */
  kept: number;
  /** Judged queries. */
  queries: number;
}

/** Whether a query judges the document of its own id relevant. */
export function judgesItselfRelevant(query: string, judgements: ReadonlyMap<string, number> | undefined): boolean {
  return (judgements?.get(query) ?? 0) > 0;
}

/** The queries that judge the document of their own id relevant. */
export function relevantSelves(qrels: Qrels): Set<string> {
  const selves = new Set<string>();
  for (const [query, judgements] of qrels) if (judgesItselfRelevant(query, judgements)) selves.add(query);
  return selves;
}

/** The rule in words, as it stands beside a score. */
export function describeSelfRetrieval({ dropped, kept, queries }: SelfRetrieval): string {
  const what = 'a document with the id of the query';
  if (!dropped) return `${what} is kept`;
  if (kept === 0) return `${what} is left out`;
  return `${what} is left out, but kept for ${kept} of ${queries} queries, which judge it relevant`;
}
