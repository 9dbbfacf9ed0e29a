import { resolve } from 'node:path';
import type { z } from 'zod';
import {
  agreeOnSettings,
  IdSet,
  Journal,
  manifestFileOf,
  type TrainingQuery,
  type TrainingSource,
  writeStageManifest,
} from '../data/index.ts';
import { AbortedError, DataError, isAbort, type Progress, SILENT } from '../system/index.ts';
import type { GenerationRequest, Generator } from './generator.ts';
import { completeGroups, type FinishedGroup, type GroupOptions, type RequestGroup } from './groups.ts';
import { surveyQueries } from './query-set.ts';
import { type Speed, Throughput } from './throughput.ts';

/** Work that an LLM does for each of many training queries, as records of one file. */
export interface Stage<T extends { queryId: string }> {
  /** Names the work in the manifest. */
  name: string;
  /** What one record is, in the plural. */
  unit: string;
  /** All that decides the records besides generator and queries. */
  settings: Record<string, unknown>;
  schema: z.ZodType<T>;
  /** Records of each query. */
  recordsPerQuery: number;
  /** Whether the gold document's text is read. */
  withGold: boolean;
  requestsFor(query: TrainingQuery): GenerationRequest[];
  again?: GroupOptions['again'];
  recordsOf(group: FinishedGroup<TrainingQuery>): T[];
  /** Counts the records of one query, found or made. */
  tally(records: readonly T[]): void;
}

/** What a stage works on, and with what. */
export interface StageOptions {
  /** Read twice: once to know them, once to work through them. */
  queries: TrainingSource;
  generator: Generator;
  /** The file of records; it grows query by query. Its manifest stands beside it. */
  out: string;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface StageOutcome extends Speed {
  file: string;
  manifest: string;
  queries: number;
  /** Queries that were finished before this run. */
  reused: number;
}

/** Queries under way at once; see {@link GroupOptions.ahead}. */
const QUERIES_AHEAD = 64;

/**
 * Runs a stage. The records of a query are written together, in the order of the queries: a run that was cut off goes on
 * after the last whole query, and nothing of the file has to fit into memory.
 *
 * @throws DataError for a query that comes twice; OtherSettingsError when the file was begun with other settings or queries,
 *   saying which; and what the generator throws
 */
export async function runStage<T extends { queryId: string }>(
  stage: Stage<T>,
  options: StageOptions,
): Promise<StageOutcome> {
  const { generator, signal } = options;
  const file = resolve(options.out);
  const queries = await surveyQueries(options.queries, { withGold: stage.withGold, signal });
  const settings = { generator: generator.fingerprint, ...stage.settings, queries };
  const manifest = await agreeOnSettings(file, { stage: stage.name, settings, about: { generator: generator.id } });
  const finished = new IdSet();
  const journal = await openJournal(stage, file, finished);
  try {
    await writeStageManifest(file, manifest);
    const reused = finished.size;
    const speed = await finish(stage, options, { journal, finished, total: queries.count });
    await writeStageManifest(file, { ...manifest, result: { queries: queries.count } });
    return { file, manifest: manifestFileOf(file), queries: queries.count, reused, ...speed };
  } finally {
    await journal.close();
  }
}

function openJournal<T extends { queryId: string }>(stage: Stage<T>, file: string, finished: IdSet) {
  return Journal.open(file, stage.schema, {
    keyOf: ({ queryId }) => queryId,
    isWhole: (records) => records.length === stage.recordsPerQuery,
    onGroup: (records, line) => {
      const { queryId } = records[0]!;
      if (!finished.add(queryId)) {
        throw new DataError(`the ${stage.unit} of this query stand here twice`, {
          file,
          line,
          id: queryId,
          mend: 'Remove one of the two, or name another output.',
        });
      }
      stage.tally(records);
    },
  });
}

/** Does what is missing. */
async function finish<T extends { queryId: string }>(
  stage: Stage<T>,
  { queries, generator, signal, progress = SILENT }: StageOptions,
  { journal, finished, total }: { journal: Journal<T>; finished: IdSet; total: number },
): Promise<Speed> {
  const { name, unit, recordsPerQuery } = stage;
  const throughput = new Throughput(progress, `writing ${name}`, total * recordsPerQuery, unit);
  throughput.skip(finished.size * recordsPerQuery);
  throughput.start();
  let done = finished.size;
  try {
    const groups = missingGroups(stage, queries, finished);
    const onText: GroupOptions['onText'] = (generation) => throughput.add(generation);
    const runOptions = { ahead: QUERIES_AHEAD, again: stage.again, signal, onText };
    if (done < total) {
      for await (const group of completeGroups(generator, groups, runOptions)) {
        const records = stage.recordsOf(group);
        await journal.appendAll(records);
        stage.tally(records);
        throughput.advance(records.length);
        done++;
      }
    }
    throughput.done();
    return throughput.speed;
  } catch (error) {
    throughput.done('stopped');
    throw isAbort(error) ? new AbortedError(`stopped with ${done} of ${total} queries finished`) : error;
  }
}

async function* missingGroups<T extends { queryId: string }>(
  stage: Stage<T>,
  queries: TrainingSource,
  finished: IdSet,
): AsyncGenerator<RequestGroup<TrainingQuery>> {
  for await (const query of queries()) {
    if (!finished.has(query.id)) yield { item: query, requests: stage.requestsFor(query) };
  }
}
