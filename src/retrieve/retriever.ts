import type { Run } from '../measures/index.ts';

/** A query for a retriever, with its expansions; none for a raw query. */
export interface ExpandedQuery {
  id: string;
  text: string;
  expansions: readonly string[];
  /** Mean log-probability of the tokens of its expansions, if that was recorded. */
  logProbability?: number | undefined;
}

export interface RetrieveOptions {
  /** Number of documents to retrieve per query. */
  depth: number;
  /** Drop documents with the same id as the query (ArguAna, CQADupStack, Quora). */
  dropSelf: boolean;
  /** Queries that keep it anyway: those that judge it relevant (`relevantSelves` of the judgements). */
  keepSelfOf?: ReadonlySet<string> | undefined;
  signal?: AbortSignal | undefined;
}

/** Returns the ids to drop, row by row; see {@link RetrieveOptions}. */
export function selvesToDrop(
  queries: readonly ExpandedQuery[],
  { dropSelf, keepSelfOf }: RetrieveOptions,
): (string | undefined)[] | undefined {
  return dropSelf ? queries.map(({ id }) => (keepSelfOf?.has(id) ? undefined : id)) : undefined;
}

/** A run and its timings, in milliseconds for all queries together. */
export interface Retrieval {
  run: Run;
  /** Embedding or analysing the queries and their expansions. */
  encodeMilliseconds: number;
  searchMilliseconds: number;
  /** The run of its dense search, whose documents tell their best passage in a search by passages. */
  dense?: Run | undefined;
}

/** A complete search method for a corpus, from query text to ranked documents. */
export interface Retriever {
  readonly name: 'dense' | 'bm25' | 'rrf';
  /** Number of documents. */
  readonly size: number;
  /** Facts for reports, as name and value. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** Sentences that must accompany its scores, such as on documents that are too long to be read in full. */
  readonly notes: readonly string[];
  retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval>;
}
