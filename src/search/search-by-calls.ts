import { type HitList, Hits } from '../measures/index.ts';
import { throwIfAborted } from '../system/index.ts';
import { countQueries, refuseBrokenQueries } from './dense/check-queries.ts';
import { unitRows } from './dense/unit-rows.ts';
import type { VectorSource } from './dense/vector-source.ts';
import { checkSearch, type SearchOptions, withoutSelf } from './search-index.ts';
import { inTrecOrder } from './trec-order.ts';

/** An index that takes some queries a call, and gives their hits in any order. */
export interface CallableIndex {
  source: VectorSource;
  /** `cosine`: queries are brought to length 1, as its documents were. */
  similarity: 'dot' | 'cosine';
  queriesPerCall: number;
  /** Returns `k` hits of each query, or some more // [queries, dimensions] */
  call(queries: Float32Array, k: number): Promise<HitList[]>;
}

/** Searches call by call; orders the hits as trec_eval does, and leaves out what is to be dropped. */
export async function searchByCalls(
  { source, similarity, queriesPerCall, call }: CallableIndex,
  queries: Float32Array,
  k: number,
  { signal, dropSelf, onQueries }: SearchOptions,
): Promise<Hits> {
  const { dimensions, rows } = source;
  const count = countQueries(queries, dimensions, dropSelf);
  checkSearch(count, k, dropSelf);
  refuseBrokenQueries(queries, dimensions, dropSelf);
  const wanted = Math.min(rows, dropSelf === undefined ? k : k + 1);
  const given = similarity === 'cosine' ? unitRows(queries, dimensions) : queries;
  const documentId = (row: number) => source.id(row);
  const found: HitList[] = [];
  for (let first = 0; first < count; first += queriesPerCall) {
    throwIfAborted(signal);
    const lists = await call(given.slice(first * dimensions, (first + queriesPerCall) * dimensions), wanted);
    for (const list of lists) {
      found.push(withoutSelf(inTrecOrder(list, documentId), dropSelf?.[found.length], k, documentId));
    }
    onQueries?.(lists.length);
  }
  throwIfAborted(signal);
  return new Hits(found, documentId);
}
