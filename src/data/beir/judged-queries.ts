import type { Qrels } from '../../measures/index.ts';
import { DataError, Random } from '../../system/index.ts';
import type { BeirDataset } from './beir.ts';
import type { Query } from './records.ts';

/** Checks that the data set holds every query that a split judges. @throws DataError that names a missing one */
export function checkJudgedQueries(
  dataset: BeirDataset,
  split: string,
  qrels: Qrels,
  queries: ReadonlyMap<string, Query>,
): void {
  for (const id of qrels.keys()) {
    if (queries.has(id)) continue;
    throw new DataError(`split ${split} judges a query that the queries file lacks`, {
      file: dataset.folder,
      id,
      fix: 'Use queries and judgements of the same release of the data set. `llm-qe data check` lists all such ids.',
    });
  }
}

/** Returns the rows of a seeded sample of `limit` out of `count`; undefined for all. A smaller sample is part of a larger one. */
export function sampleRows(count: number, limit: number | undefined, seed: number): ReadonlySet<number> | undefined {
  if (limit === undefined || limit >= count) return undefined;
  const rows = Array.from({ length: count }, (_none, row) => row);
  return new Set(new Random(seed).shuffle(rows).slice(0, limit));
}
