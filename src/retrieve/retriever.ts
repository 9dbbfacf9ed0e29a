import type { Run } from '../measures/index.ts';

/** A query as a retriever takes it: with the passages that stand beside it, none where it is searched as it is. */
export interface ExpandedQuery {
  id: string;
  text: string;
  expansions: readonly string[];
}

export interface RetrieveOptions {
  /** Documents wanted for each query. */
  depth: number;
  /** Drop a document whose id equals the query's (ArguAna, CQADupStack, Quora). */
  dropSelf: boolean;
  /** Queries that keep it all the same: those that judge it relevant (`relevantSelves` of the judgements). */
  keepSelfOf?: ReadonlySet<string> | undefined;
  signal?: AbortSignal | undefined;
}

/** The ids to leave out, row by row; see {@link RetrieveOptions}. */
export function selvesToDrop(
  queries: readonly ExpandedQuery[],
  { dropSelf, keepSelfOf }: RetrieveOptions,
): (string | undefined)[] | undefined {
  return dropSelf ? queries.map(({ id }) => (keepSelfOf?.has(id) ? undefined : id)) : undefined;
}

/** A run and what it took, in milliseconds for all queries together. */
export interface Retrieval {
  run: Run;
  /** Embedding or analysing the queries and their expansions. */
  encodeMilliseconds: number;
  searchMilliseconds: number;
}

/** A whole way of searching a corpus, from query text to ranked documents. */
export interface Retriever {
  readonly name: 'dense' | 'bm25' | 'rrf';
  /** Number of documents. */
  readonly size: number;
  /** Facts for reports, as name and value. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** What must be known beside its scores, in whole sentences: documents that it does not search to their end. */
  readonly notes: readonly string[];
  retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval>;
}
