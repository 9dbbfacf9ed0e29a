import { createHash } from 'node:crypto';
import { IdSet } from '../../files/index.ts';
import { DataError, throwIfAborted } from '../../system/index.ts';

/** The fields that every query of a stage has. */
export interface StageQuery {
  id: string;
  text: string;
}

/** Queries that can be read any number of times. */
export type QuerySource<Q> = () => Iterable<Q> | AsyncIterable<Q>;

/** Facts about queries that are not kept in memory. */
export interface QuerySet {
  count: number;
  /** Hash of everything the work depends on, in the order of the queries. */
  sha256: string;
}

/**
 * Reads the queries once: counts them and hashes what the work depends on.
 *
 * @param identityOf returns the part of a query that the work depends on, as plain JSON. @throws DataError if something is missing
 * @throws DataError if a query occurs twice or if there is no query
 */
export async function surveyQueries<Q extends StageQuery>(
  queries: QuerySource<Q>,
  identityOf: (query: Q) => unknown,
  signal?: AbortSignal,
): Promise<QuerySet> {
  const seen = new IdSet();
  const hash = createHash('sha256');
  for await (const query of queries()) {
    throwIfAborted(signal);
    const { id } = query;
    if (!seen.add(id)) throw new DataError('the query occurs twice', { id, fix: 'Give each query a unique id.' });
    hash.update(`${JSON.stringify(identityOf(query))}\n`);
  }
  if (seen.size > 0) return { count: seen.size, sha256: hash.digest('hex') };
  throw new DataError('there are no queries', { fix: 'Choose a data set, split or file with queries.' });
}
