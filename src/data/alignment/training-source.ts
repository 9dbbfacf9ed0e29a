import { UsageError } from '../../system/index.ts';
import { BeirDataset } from '../beir/beir.ts';
import { sampleRows } from '../beir/judged-queries.ts';
import type { TrainingQuery } from './alignment-records.ts';
import { readDocumentTexts, readTrainingQueries, readTripleQueries } from './training-queries.ts';

export interface TrainingSourceOptions {
  /** Folder of a data set in BEIR's layout. Alternative to `triples`. */
  dataset?: string | undefined;
  /** The split of the data set. */
  split: string;
  /** A JSONL file of triples, as `llm-qe data merge` writes it. */
  triples?: string | undefined;
  /** Size of a seeded sample of the queries, in their order. With the same seed, a smaller sample is part of a larger one. */
  limit?: number | undefined;
  sampleSeed: number;
  /** Whether each query comes with the text of its (first) gold document. */
  withGold: boolean;
  signal?: AbortSignal | undefined;
}

/** Training queries with their gold documents. They can be read any number of times. */
export type TrainingSource = () => Iterable<TrainingQuery> | AsyncIterable<TrainingQuery>;

/**
 * Opens the training queries of a split, or of a file of triples, which is read as a stream.
 *
 * @throws UsageError unless exactly one of the two is given; DataError if it is faulty
 */
export async function openTrainingSource(options: TrainingSourceOptions): Promise<TrainingSource> {
  const { dataset, triples } = options;
  if ((dataset === undefined) === (triples === undefined)) {
    throw new UsageError('the training queries need exactly one source: a data set or triples', {
      fix: 'Pass either --dataset DIR or --triples FILE.',
    });
  }
  return triples === undefined ? openSplit(dataset!, options) : openTriples(triples, options);
}

async function openSplit(
  folder: string,
  { split, limit, sampleSeed, withGold, signal }: TrainingSourceOptions,
): Promise<TrainingSource> {
  const dataset = await BeirDataset.open(folder);
  const all = await readTrainingQueries(dataset, split, { signal });
  const rows = sampleRows(all.length, limit, sampleSeed);
  const queries = all.filter((_query, row) => rows?.has(row) ?? true);
  if (!withGold) return () => queries;
  const texts = await readDocumentTexts(dataset, new Set(queries.map(({ documents }) => documents[0]!)), signal);
  const withTexts = queries.map((query) => ({ ...query, goldText: texts.get(query.documents[0]!)! }));
  return () => withTexts;
}

async function openTriples(
  file: string,
  { limit, sampleSeed, signal }: TrainingSourceOptions,
): Promise<TrainingSource> {
  if (limit === undefined) return () => readTripleQueries(file, signal);
  let count = 0;
  for await (const _triple of readTripleQueries(file, signal)) count++;
  const rows = sampleRows(count, limit, sampleSeed);
  return async function* chosen() {
    let row = 0;
    for await (const query of readTripleQueries(file, signal)) if (rows?.has(row++) ?? true) yield query;
  };
}
