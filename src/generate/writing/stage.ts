import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { z } from 'zod';
import type { TrainingQuery, TrainingSource } from '../../data/index.ts';
import {
  agreeOnSettings,
  IdSet,
  Journal,
  manifestFileOf,
  readStageManifest,
  writeStageManifest,
} from '../../files/index.ts';
import { AbortedError, DataError, isAbort, type Progress, SILENT } from '../../system/index.ts';
import type { GenerationRequest, Generator } from '../generator.ts';
import { completeGroups, type FinishedGroup, type GroupOptions, type RequestGroup } from './groups.ts';
import { KeptTexts, keptTextsFileOf } from './kept-texts.ts';
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
  again?: GroupOptions<TrainingQuery>['again'];
  recordsOf(group: FinishedGroup<TrainingQuery>): T[];
  /** Counts the records of one query, found or made. */
  tally(records: readonly T[]): void;
  /** What is to be said of all records at the end. */
  remark?(): string | undefined;
}

/** What a stage works on, and with what. */
export interface StageOptions {
  /** Read twice: once to know them, once to work through them. */
  queries: TrainingSource;
  generator: Generator;
  /**
   * The file of records; it grows query by query. Its manifest stands beside it, and until it is whole `<out>.journal` with the
   * texts of queries that are not finished.
   */
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
/** Queries in memory at once: so many can be finished while one before them is slow. */
const QUERIES_HELD = 1024;

/**
 * Runs a stage. The records of a query are written together, in the order of the queries, and what is finished of others is
 * kept in a journal beside: a run that was cut off goes on with the texts that are missing, and nothing of the file has to fit into
 * memory.
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
  const made = { generator: generator.fingerprint, context: generator.contextSize };
  const settings = { ...made, ...stage.settings, queries };
  const isBegun = (await readStageManifest(file)) !== undefined;
  const manifest = await agreeOnSettings(file, { stage: stage.name, settings, about: { generator: generator.id } });
  const finished = new IdSet();
  const journal = await openJournal(stage, file, finished);
  let kept: KeptTexts | undefined;
  try {
    // Without a manifest nobody knows how texts that lie about were made.
    if (!isBegun) await rm(keptTextsFileOf(file), { force: true });
    await writeStageManifest(file, manifest);
    const reused = finished.size;
    kept = await KeptTexts.open(file, (id) => finished.has(id));
    const speed = await finish(stage, options, { journal, kept, finished, total: queries.count });
    await writeStageManifest(file, { ...manifest, result: { queries: queries.count } });
    await kept.remove();
    return { file, manifest: manifestFileOf(file), queries: queries.count, reused, ...speed };
  } finally {
    await kept?.close();
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
          fix: 'Remove one of the two, or name another output.',
        });
      }
      stage.tally(records);
    },
  });
}

/** What is there of a stage. */
interface StageFiles<T> {
  journal: Journal<T>;
  kept: KeptTexts;
  finished: IdSet;
  /** Queries in all. */
  total: number;
}

/** Does what is missing. */
async function finish<T extends { queryId: string }>(
  stage: Stage<T>,
  { queries, generator, signal, progress = SILENT }: StageOptions,
  { journal, kept, finished, total }: StageFiles<T>,
): Promise<Speed> {
  const { name, unit, recordsPerQuery } = stage;
  const throughput = new Throughput(progress, `writing ${name}`, total * recordsPerQuery, unit);
  let texts = finished.size * recordsPerQuery + kept.count;
  throughput.skip(texts);
  throughput.start();
  let done = finished.size;
  const runOptions: GroupOptions<TrainingQuery> = {
    ...{ ahead: QUERIES_AHEAD, held: QUERIES_HELD, again: stage.again, signal },
    onText: (generation) => throughput.add(generation),
    async keep({ id }, place, text) {
      await kept.keep(id, place, text);
      texts++;
      throughput.advance(1);
    },
  };
  try {
    const groups = missingGroups(stage, queries, finished, kept);
    if (done < total) {
      for await (const group of completeGroups(generator, groups, runOptions)) {
        const records = stage.recordsOf(group);
        await journal.appendAll(records);
        stage.tally(records);
        done++;
      }
    }
    throughput.done(stage.remark?.());
    return throughput.speed;
  } catch (error) {
    throughput.done('stopped');
    if (!isAbort(error)) throw error;
    const others = texts - done * recordsPerQuery;
    const more = others === 0 ? '' : `, and ${others} ${unit} of others`;
    throw new AbortedError(`stopped with ${done} of ${total} queries finished${more}`);
  }
}

async function* missingGroups<T extends { queryId: string }>(
  stage: Stage<T>,
  queries: TrainingSource,
  finished: IdSet,
  kept: KeptTexts,
): AsyncGenerator<RequestGroup<TrainingQuery>> {
  for await (const query of queries()) {
    if (finished.has(query.id)) continue;
    yield { item: query, requests: stage.requestsFor(query), known: kept.take(query.id) };
  }
}
