import type { HitList, HitRows } from '../measures/index.ts';
import { UsageError } from '../system/index.ts';

/** Checks the arguments of a search. @throws UsageError */
export function checkSearch(queries: number, k: number, dropSelf: SearchOptions['dropSelf']): void {
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
  /**
   * For each query, row by row, the id of a document to drop: the query's own id (self-retrieval). Undefined for a query
   * that drops nothing.
   */
  dropSelf?: readonly (string | undefined)[] | undefined;
  onQueries?: ((count: number) => void) | undefined;
}

/**
 * An index that ranks a corpus. `Q` is the type of its queries: a matrix of vectors // [queries, dimensions], or texts.
 * A search returns the best `k` documents of each query, best first; equal scores (as 32-bit floats) are ordered by
 * document id, descending, as in trec_eval. It returns fewer if the corpus holds fewer.
 */
export interface SearchIndex<Q> {
  /** Number of documents. */
  readonly size: number;
  search(queries: Q, k: number, options?: SearchOptions): Promise<HitRows>;
  /** What else influences its scores, for reports. Complete after the first search. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
  /** Sentences that must accompany its scores. Complete after the first search. */
  readonly notes?: readonly string[];
  /** Milliseconds that its own checks have taken so far: they are no part of searching. */
  readonly checkMilliseconds?: number;
  close?(): Promise<void>;
}

/** Returns at most `k` hits, without the document with this id. */
export function withoutSelf(
  { numbers, scores }: HitList,
  self: string | undefined,
  k: number,
  documentId: (number: number) => string,
): HitList {
  const place = self === undefined ? -1 : numbers.findIndex((number) => documentId(number) === self);
  if (place < 0) return { numbers: numbers.subarray(0, k), scores: scores.subarray(0, k) };
  const kept = (_value: number, at: number) => at !== place;
  return { numbers: numbers.filter(kept).subarray(0, k), scores: scores.filter(kept).subarray(0, k) };
}
