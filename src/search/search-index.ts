import type { ScoredDocument } from '../measures/index.ts';
import { UsageError } from '../system/index.ts';

/** What every search refuses. @throws UsageError */
export function checkSearch(queries: number, k: number, dropSelf: readonly string[] | undefined): void {
  if (!Number.isSafeInteger(k) || k < 1) {
    throw new UsageError(`${k} documents a query were asked for`, { fix: 'Ask for 1 or more (a whole number).' });
  }
  if (dropSelf !== undefined && dropSelf.length !== queries) {
    throw new UsageError(`${dropSelf.length} query ids were given for ${queries} queries`, {
      fix: 'Give one id a query, in the order of the queries.',
    });
  }
}

export interface SearchOptions {
  signal?: AbortSignal | undefined;
  /** Ids of the queries, row by row; with them a hit whose id equals its query's id is dropped (self-retrieval). */
  dropSelf?: readonly string[] | undefined;
  onQueries?: ((count: number) => void) | undefined;
}

/**
 * Something that ranks a corpus. `Q` is what a query is to it: a matrix of vectors // [queries, dimensions], or texts.
 * The best `k` documents of each query come back best first, equal scores (as 32-bit floats) by document id
 * descending, as trec_eval orders them; fewer where the corpus holds fewer.
 */
export interface SearchIndex<Q> {
  /** Number of documents. */
  readonly size: number;
  search(queries: Q, k: number, options?: SearchOptions): Promise<ScoredDocument[][]>;
}
