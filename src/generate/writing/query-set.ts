import { createHash } from 'node:crypto';
import { IdSet } from '../../files/index.ts';
import { DataError, throwIfAborted } from '../../system/index.ts';

/** What every query of a stage has. */
export interface StageQuery {
  id: string;
  text: string;
}

/** Queries that can be read as often as wanted. */
export type QuerySource<Q> = () => Iterable<Q> | AsyncIterable<Q>;

/** What is told of queries without keeping them. */
export interface QuerySet {
  count: number;
  /** Of what the work depends on, in the order of the queries. */
  sha256: string;
}

/**
 * Reads the queries once: counts them, and hashes what the work depends on.
 *
 * @param identityOf what of a query the work depends on, as plain JSON. @throws DataError where something is missing
 * @throws DataError for a query that comes twice, and for none at all
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
    if (!seen.add(id)) throw new DataError('the query comes twice', { id, fix: 'Give each query an id of its own.' });
    hash.update(`${JSON.stringify(identityOf(query))}\n`);
  }
  if (seen.size > 0) return { count: seen.size, sha256: hash.digest('hex') };
  throw new DataError('there is no query', { fix: 'Name a data set, a split or a file that holds queries.' });
}
