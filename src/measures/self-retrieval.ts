import type { Qrels } from './records.ts';

/**
 * The rule of self-retrieval. In some collections (ArguAna, Quora) the query is itself a document, and finding it is
 * worthless: the document with the query's id is removed. In others, queries and documents are both numbered from 1, and
 * equal ids are a coincidence: a document that is judged relevant to the query with its id is not a copy, and is kept.
 */
export interface SelfRetrieval {
  /** Whether documents are removed at all. */
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

/** Returns the queries that judge the document of their own id relevant. */
export function relevantSelves(qrels: Qrels): Set<string> {
  const selves = new Set<string>();
  for (const [query, judgements] of qrels) if (judgesItselfRelevant(query, judgements)) selves.add(query);
  return selves;
}

/** Describes the rule in words, to print with a score. */
export function describeSelfRetrieval({ dropped, kept, queries }: SelfRetrieval): string {
  const what = 'a document with the id of the query';
  if (!dropped) return `${what} is kept`;
  if (kept === 0) return `${what} is left out`;
  return `${what} is left out, but kept for ${kept} of ${queries} queries, which judge it relevant`;
}
