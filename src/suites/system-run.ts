import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type BeirDataset, cachedSha256, readExpansions, writeRun } from '../data/index.ts';
import {
  joinExpansions,
  REPORTED_MEASURES,
  replaceQueries,
  runArm,
  runGatedArm,
  TABLE_MEASURES,
  type Topics,
} from '../evaluate/index.ts';
import { describeIssues, readJsonFile } from '../files/index.ts';
import { GATE_FORMAT, Gate } from '../gate/index.ts';
import { MEASURES_FORMAT, type SelfRetrieval } from '../measures/index.ts';
import type { RunFolder } from '../pipeline/index.ts';
import { type CorpusSearch, combinationOf, type RetrievalSettings, SEARCH_FORMATS } from '../retrieve/index.ts';
import { DataError, writeDurably } from '../system/index.ts';
import { type Excluded, excludingRetriever } from './excluding-retriever.ts';
import { OF_BM25, OF_DENSE, OF_EXPANSIONS } from './system-options.ts';
import { isExpanded, type SuiteSystem } from './system-spec.ts';

/** Increase it when the same inputs would give other files for a reason that no other format covers. */
const RUN_FORMAT = 1;

/** The judged queries of one set that was opened. */
export interface OpenedSet {
  name: string;
  dataset: BeirDataset;
  /** Its judged queries, without expansions. */
  topics: Topics;
  /** Documents that do not count for a query. */
  excluded: Excluded;
  /** What decides the content: hashes of the files, split, sample. */
  identity: Record<string, unknown>;
}

/** What the expansions of a system cost, as means over its queries. */
export interface WritingCost {
  promptTokens: number;
  completionTokens: number;
  milliseconds: number;
}

/** Expansions of one set without a text. */
export interface EmptyTexts {
  /** Expansions, and those of them that are empty. */
  expansions: number;
  empty: number;
  /** Queries all of whose expansions are empty: they are searched as they are. */
  plainQueries: number;
}

/** One system on one set, finished. */
export interface SystemRun {
  /** Means over the queries by display name. */
  measures: Record<string, number>;
  queries: number;
  documents: number;
  selfRetrieval: SelfRetrieval;
  /** Facts on the search, for reports. */
  settings: Record<string, string | number | boolean>;
  notes: string[];
  /** Milliseconds per query: embedding and search of all queries together. */
  milliseconds: number;
  cost: WritingCost | undefined;
  /** Undefined without expansions. */
  emptyTexts: EmptyTexts | undefined;
  /** The TREC run, and the file of its expansions. */
  files: { run: string; expansions: string | undefined };
  /** Value of each query by measure: those of {@link TABLE_MEASURES}. */
  values: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Whether it was finished before. */
  reused: boolean;
}

const selfSchema = z.object({ dropped: z.boolean(), kept: z.number(), queries: z.number() });
const resultSchema = z.object({
  measures: z.record(z.string(), z.number()),
  queries: z.number(),
  documents: z.number(),
  selfRetrieval: selfSchema,
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  notes: z.array(z.string()),
  milliseconds: z.number(),
  cost: z.object({ promptTokens: z.number(), completionTokens: z.number(), milliseconds: z.number() }).optional(),
  emptyTexts: z.object({ expansions: z.number(), empty: z.number(), plainQueries: z.number() }).optional(),
});
const valuesSchema = z.object({ ids: z.array(z.string()), values: z.record(z.string(), z.array(z.number())) });

export interface SystemRunOptions {
  /** The folder of the set's results. */
  folder: RunFolder;
  /** Opens the search of the set with these settings; called only if there is work. */
  search(settings: RetrievalSettings): Promise<CorpusSearch>;
  /** Fingerprint of the encoder that the system searches with; undefined without one. */
  encoder: string | undefined;
  /** The file of expansions that belong to this set. */
  expansions: string | undefined;
  /** Told why finished work is done again. */
  warn?: ((line: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Searches one set with one system, scores it, and writes run and values. The hits stay typed arrays, and are dropped when the run is
 * written. Work that is finished is not repeated: its key holds everything that decides the run.
 */
export async function runSystem(set: OpenedSet, system: SuiteSystem, options: SystemRunOptions): Promise<SystemRun> {
  const { expansions, encoder } = options;
  await refuseStream('expansions', expansions);
  await refuseStream('gate', system.gate);
  const { alpha, queryRepeats } = await combinationOf(expansions, system.combination);
  const retrieval = { ...system.retrieval, alpha, queryRepeats };
  const { record, folder, reused } = await options.folder.stage({
    stage: system.name,
    settings: {
      ...{ format: RUN_FORMAT, search: SEARCH_FORMATS, measures: MEASURES_FORMAT, set: set.identity, encoder },
      ...{ retriever: system.retriever, retrieval: decidingSettings(system, retrieval) },
      expansions: expansions === undefined ? undefined : await cachedSha256(expansions),
      asIs: system.asIs || undefined,
      gate: system.gate === undefined ? undefined : { format: GATE_FORMAT, file: await cachedSha256(system.gate) },
    },
    onDamage: (reason) => options.warn?.(`${set.name}, ${system.name}: ${reason}; it is searched again`),
    run: (at) => searchAndScore(set, { ...system, retrieval }, options, at),
  });
  const result = resultOf(record.result, folder);
  return {
    ...{
      ...result,
      cost: result.cost,
      emptyTexts: result.emptyTexts,
      reused,
      files: { run: join(folder, RUN), expansions },
    },
    values: await readSystemValues(folder),
  };
}

/** Reads the value of each query by measure that a finished search left in its folder. @throws DataError */
export async function readSystemValues(folder: string): Promise<Map<string, Map<string, number>>> {
  const file = join(folder, VALUES);
  const { ids, values } = await readJsonFile(file, valuesSchema, (cause) => {
    const fix = `Remove ${folder} to run the search again.`;
    return new DataError('does not hold the values of a run', { file, fix, cause });
  });
  return new Map(
    Object.entries(values).map(([measure, column]) => [measure, new Map(ids.map((id, at) => [id, column[at]!]))]),
  );
}

/** @throws DataError for a record that was edited by hand */
function resultOf(recorded: unknown, folder: string): z.output<typeof resultSchema> {
  const parsed = resultSchema.safeParse(recorded);
  if (parsed.success) return parsed.data;
  throw new DataError(`does not hold the result of a search: ${describeIssues(parsed.error)}`, {
    file: join(folder, 'stage.json'),
    fix: `Remove ${folder} to run the search again.`,
  });
}

/** These files are hashed, and read for every set: a device or a pipe would never end, or be empty the second time. */
async function refuseStream(option: string, file: string | undefined): Promise<void> {
  const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  const kind = found.isDirectory() ? 'a folder' : 'a device or a pipe';
  throw new DataError(`is ${kind}, not a file`, { file, fix: `Name a file as ${option} of the system.` });
}

const [RUN, VALUES] = ['run.trec', 'values.json'];

async function searchAndScore(
  set: OpenedSet,
  system: SuiteSystem,
  { search: openSearch, expansions, signal }: SystemRunOptions,
  folder: string,
) {
  const { retriever: kind, retrieval, name } = system;
  const topics = await topicsOf(set, system, expansions);
  const search = await openSearch(retrieval);
  const retriever = excludingRetriever(await search.retriever(kind, { alpha: retrieval.alpha }), set.excluded);
  const plan = { name, description: kind, retriever, topics };
  const { depth, keepSelf } = retrieval;
  const { arm, warnings } =
    system.gate === undefined
      ? { arm: await runArm(plan, { depth, dropSelf: !keepSelf, signal }), warnings: [] }
      : await runGatedArm(search, await Gate.open(system.gate), plan, { depth, keepSelf, signal });
  const files = { run: join(folder, RUN), values: join(folder, VALUES) };
  await writeRun(files.run, arm.retrieval.run, `llm-qe-${name}`);
  await writeDurably(files.values, `${JSON.stringify(columnsOf(topics, arm.scores.perQuery))}\n`);
  const { encodeMilliseconds, searchMilliseconds } = arm.retrieval;
  const result = {
    measures: Object.fromEntries(REPORTED_MEASURES.map((measure) => [measure, arm.scores.mean[measure] ?? 0])),
    ...{ queries: arm.scores.queries, documents: retriever.size, selfRetrieval: arm.selfRetrieval },
    ...{ settings: retriever.settings, notes: [...retriever.notes, ...warnings] },
    milliseconds: (encodeMilliseconds + searchMilliseconds) / Math.max(1, topics.queries.length),
    ...(expansions !== undefined && (await describeTexts(expansions, topics))),
  };
  return { outputs: files, result };
}

function topicsOf(
  { topics }: OpenedSet,
  { asIs }: SuiteSystem,
  expansions: string | undefined,
): Topics | Promise<Topics> {
  if (expansions === undefined) return topics;
  return asIs ? replaceQueries(topics, expansions) : joinExpansions(topics, expansions);
}

/** Values as columns: one list of ids, and one list of numbers per measure. */
function columnsOf({ queries }: Topics, perQuery: ReadonlyMap<string, Record<string, number>>) {
  const ids = queries.map(({ id }) => id);
  const columnOf = (measure: string) => ids.map((id) => perQuery.get(id)?.[measure] ?? 0);
  return { ids, values: Object.fromEntries(TABLE_MEASURES.map((measure) => [measure, columnOf(measure)])) };
}

async function describeTexts(
  file: string,
  { queries }: Topics,
): Promise<{ cost: WritingCost; emptyTexts: EmptyTexts }> {
  const expansions = await readExpansions(file);
  const ofQueries = queries.map(({ id }) => expansions.get(id) ?? []);
  const used = ofQueries.flat();
  const mean = (pick: (one: (typeof used)[number]) => number) =>
    used.reduce((sum, one) => sum + pick(one), 0) / Math.max(1, queries.length);
  const isEmpty = ({ text }: (typeof used)[number]) => text.trim() === '';
  return {
    cost: {
      promptTokens: mean((one) => one.promptTokens),
      completionTokens: mean((one) => one.completionTokens),
      milliseconds: mean((one) => one.milliseconds),
    },
    emptyTexts: {
      ...{ expansions: used.length, empty: used.filter(isEmpty).length },
      plainQueries: ofQueries.filter((written) => written.every(isEmpty)).length,
    },
  };
}

/** Settings that never change a run. */
const IDLE = ['threads', 'offline', 'maxWait', 'batchSize', 'encoder', 'encoderModel', 'recallSample'];

/** The settings of a search that can change the run of a system. The encoder is identified by its fingerprint instead. */
function decidingSettings(system: SuiteSystem, retrieval: RetrievalSettings): Record<string, unknown> {
  const idle = new Set([
    ...IDLE,
    ...(system.retriever === 'bm25' ? OF_DENSE : []),
    ...(system.retriever === 'dense' ? OF_BM25 : []),
    ...(isExpanded(system) ? [] : OF_EXPANSIONS),
  ]);
  return Object.fromEntries(Object.entries(retrieval).filter(([key]) => !idle.has(key)));
}
