import { type HitList, Hits } from '../measures/index.ts';
import { throwIfAborted } from '../system/index.ts';
import { countQueries, refuseBrokenQueries } from './dense/check-queries.ts';
import { unitRows } from './dense/unit-rows.ts';
import { checkSearch, type SearchOptions, withoutSelf } from './search-index.ts';
import { inTrecOrder } from './trec-order.ts';

/** Queries in the form in which an index takes them. */
export interface QueryRows<V> {
  count: number;
  /** Returns those from one up to, not including, another. */
  slice(from: number, to: number): V;
}

/** An index that takes some queries a call, and gives their hits in any order. */
export interface CallableIndex<V> {
  source: { readonly rows: number; id(row: number): string };
  queriesPerCall: number;
  /** Returns `k` hits of each query, or some more; fewer if no more are found. */
  call(queries: V, k: number): Promise<HitList[]>;
}

/**
 * Dense queries, brought to length 1 for `cosine`, as the documents were.
 * @param queries row-major // [queries, dimensions]
 * @throws DataError for other dimensions, or a number that is not finite
 */
export function denseQueries(
  queries: Float32Array,
  { dimensions, similarity }: { dimensions: number; similarity: 'dot' | 'cosine' },
  { dropSelf }: SearchOptions,
): QueryRows<Float32Array> {
  const count = countQueries(queries, dimensions, dropSelf);
  refuseBrokenQueries(queries, dimensions, dropSelf);
  const given = similarity === 'cosine' ? unitRows(queries, dimensions) : queries;
  return { count, slice: (from, to) => given.slice(from * dimensions, to * dimensions) };
}

/** Searches call by call; orders the hits as trec_eval does, and leaves out what is to be dropped. */
export async function searchByCalls<V>(
  { source, queriesPerCall, call }: CallableIndex<V>,
  queries: QueryRows<V>,
  k: number,
  { signal, dropSelf, onQueries }: SearchOptions,
): Promise<Hits> {
  const { count } = queries;
  checkSearch(count, k, dropSelf);
  const wanted = Math.min(source.rows, dropSelf === undefined ? k : k + 1);
  const documentId = (row: number) => source.id(row);
  const found: HitList[] = [];
  for (let first = 0; first < count; first += queriesPerCall) {
    throwIfAborted(signal);
    const lists = await call(queries.slice(first, Math.min(count, first + queriesPerCall)), wanted);
    for (const list of lists) {
      found.push(withoutSelf(inTrecOrder(list, documentId), dropSelf?.[found.length], k, documentId));
    }
    onQueries?.(lists.length);
  }
  throwIfAborted(signal);
  return new Hits(found, documentId);
}
