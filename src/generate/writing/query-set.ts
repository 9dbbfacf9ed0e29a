import { createHash } from 'node:crypto';
import type { TrainingSource } from '../../data/index.ts';
import { IdSet } from '../../files/index.ts';
import { DataError, throwIfAborted } from '../../system/index.ts';

/** What is told of queries without keeping them. */
export interface QuerySet {
  count: number;
  /** Of ids and texts, in their order; and of the gold documents where these are read. */
  sha256: string;
}

/**
 * Reads the queries once: counts them, and hashes what the work depends on.
 *
 * @param withGold whether the gold document's text matters too
 * @throws DataError for a query that comes twice, one without its gold text where that is wanted, and for none at all
 */
export async function surveyQueries(
  queries: TrainingSource,
  { withGold, signal }: { withGold: boolean; signal?: AbortSignal | undefined },
): Promise<QuerySet> {
  const seen = new IdSet();
  const hash = createHash('sha256');
  for await (const { id, text, documents, goldText } of queries()) {
    throwIfAborted(signal);
    if (!seen.add(id)) throw new DataError('the query comes twice', { id, fix: 'Give each query an id of its own.' });
    if (withGold && goldText === undefined) {
      throw new DataError('the query comes without the text of its gold document', {
        id,
        fix: 'Read the queries together with their documents.',
      });
    }
    hash.update(`${JSON.stringify(withGold ? [id, text, documents[0], goldText] : [id, text])}\n`);
  }
  if (seen.size > 0) return { count: seen.size, sha256: hash.digest('hex') };
  throw new DataError('there is no query', { fix: 'Name a data set, a split or a file that holds queries.' });
}
