import type { ScoredDocument } from '../measures/index.ts';
import type { ExpandedQuery, Retrieval, RetrieveOptions, Retriever } from '../retrieve/index.ts';

/** Documents that do not count for a query, by the query's id. */
export type Excluded = ReadonlyMap<string, ReadonlySet<string>>;

/** Searches as another retriever does, and leaves out the documents that a query excludes: as many others take their places. */
export function excludingRetriever(retriever: Retriever, excluded: Excluded): Retriever {
  if (excluded.size === 0) return retriever;
  const most = Math.max(...[...excluded.values()].map((documents) => documents.size));
  return {
    name: retriever.name,
    size: retriever.size,
    settings: retriever.settings,
    notes: [...retriever.notes, `documents that a query excludes are left out (${excluded.size} queries)`],
    async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
      const found = await retriever.retrieve(queries, { ...options, depth: options.depth + most });
      const run = new Map<string, readonly ScoredDocument[]>();
      for (const [query, hits] of found.run) {
        const left = excluded.get(query);
        run.set(query, hits.filter(({ id }) => !left?.has(id)).slice(0, options.depth));
      }
      return { ...found, run };
    },
  };
}
