import { DataError } from '../../system/index.ts';
import type { SearchOptions } from '../search-index.ts';

/** Returns the number of queries. @throws DataError for queries of other dimensions than the corpus has */
export function countQueries(queries: Float32Array, dimensions: number, dropSelf: SearchOptions['dropSelf']): number {
  const count = queries.length / dimensions;
  if (Number.isInteger(count) && (dropSelf === undefined || dropSelf.length * dimensions === queries.length)) {
    return count;
  }
  const given = dropSelf === undefined ? 'are no whole number of vectors' : `are not ${dropSelf.length} vectors`;
  throw new DataError(`the queries' ${queries.length} numbers ${given} of the corpus's ${dimensions} dimensions`, {
    fix: 'Encode queries and documents with the same encoder.',
  });
}

/** @throws DataError for a query with a number that is not finite */
export function refuseBrokenQueries(queries: Float32Array, dimensions: number, ids: SearchOptions['dropSelf']): void {
  const at = queries.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  const query = Math.floor(at / dimensions);
  throw brokenVector(`query ${query}`, ids?.[query]);
}

/** The error for a vector with a number that is not finite. */
export function brokenVector(what: string, id: string | undefined): DataError {
  return new DataError(`the vector of ${what} (counted from 0) gives scores that are no finite numbers`, {
    id,
    fix: 'Encode it again; if it comes back, look at the model: NaN or infinity in a weight spoils every text.',
  });
}
