import { join, resolve } from 'node:path';
import type { BeirDataset } from '../data/index.ts';
import type { Encoder } from '../embed/index.ts';
import { loadTopics, type Topics } from '../evaluate/index.ts';
import { ModelStore } from '../models/index.ts';
import { RunFolder } from '../pipeline/index.ts';
import { CorpusSearch, openEncoder, type RetrievalSettings } from '../retrieve/index.ts';
import {
  contentKey,
  isAbort,
  LlmQeError,
  type Progress,
  type ProgressTask,
  SILENT,
  throwIfAborted,
} from '../system/index.ts';
import { excludedOf, hashesOf, openSet } from './set-data.ts';
import type { Suite, SuiteSet } from './suite-schema.ts';
import { type OpenedSet, runSystem, type SystemRun } from './system-run.ts';
import type { SuiteSystem } from './system-spec.ts';

/** What a set needs expansions for. */
export interface WritingRequest {
  dataset: BeirDataset;
  topics: Topics;
  /** The options of the system's writer. */
  options: Readonly<Record<string, unknown>>;
  system: SuiteSystem;
  /** The file to write. */
  out: string;
  /** Opens a search of the set, for writers that read first-pass hits. */
  search(settings: RetrievalSettings): Promise<CorpusSearch>;
}

/** Writes expansions. It is opened by the caller, because only the caller knows the options of language models. */
export interface ExpansionWriter {
  /** Names of options that do not decide the texts, such as the number of threads. */
  readonly idleOptions: readonly string[];
  /** Checks a system's options before anything runs. @throws UsageError, DataError */
  check(options: Readonly<Record<string, unknown>>): Promise<void>;
  /** Writes the missing expansions of a set's judged queries. An interrupted call resumes. */
  write(request: WritingRequest): Promise<void>;
}

export interface RunSuiteOptions {
  suite: Suite;
  systems: readonly SuiteSystem[];
  writer: ExpansionWriter;
  /** Folder of the results. */
  out: string;
  /** Folder of downloaded data sets. */
  data: string;
  /** Evaluates a seeded sample of this many queries per set. */
  limit?: number | undefined;
  seed: number;
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** The finished systems of one set. */
export interface SetRun {
  set: SuiteSet;
  runs: Map<string, SystemRun>;
}

/** What could not be done. */
export interface SuiteFailure {
  set: string;
  /** Undefined if the set itself could not be opened. */
  system: string | undefined;
  message: string;
  fix: string;
}

export interface SuiteRun {
  sets: SetRun[];
  failures: SuiteFailure[];
}

/** The folder of what a set's results are in. */
export function resultsFolder(out: string, set: string): string {
  return join(resolve(out), 'sets', set);
}

/**
 * Searches every set of a suite with every system. Each run is written as soon as it is scored. A set or a system that fails is
 * reported, and the others go on. The same call resumes after an interruption, and repeats nothing.
 * @throws AbortedError; ModelError, UsageError or NetworkError if an encoder cannot be opened
 */
export async function runSuite(options: RunSuiteOptions): Promise<SuiteRun> {
  const { suite, systems, progress = SILENT } = options;
  for (const system of systems) if (system.writer !== undefined) await options.writer.check(system.writer);
  const encoders = await openEncoders(systems, options);
  const task = progress.task(`searching ${suite.name}`, suite.sets.length * systems.length, 'searches');
  const found: SuiteRun = { sets: [], failures: [] };
  try {
    for (const set of suite.sets) {
      task.note(set.name);
      const runs = await runSet(set, { ...options, encoders, task, failures: found.failures });
      found.sets.push({ set, runs });
    }
    return found;
  } finally {
    task.done();
    for (const encoder of new Set(encoders.values())) await encoder?.close();
  }
}

interface SetOptions extends RunSuiteOptions {
  /** Encoder of each system; undefined for BM25. */
  encoders: ReadonlyMap<string, Encoder | undefined>;
  task: ProgressTask;
  failures: SuiteFailure[];
}

async function runSet(set: SuiteSet, options: SetOptions): Promise<Map<string, SystemRun>> {
  const { systems, out, encoders, task, failures, signal } = options;
  const runs = new Map<string, SystemRun>();
  const opened = await attempt(() => open(set, options), { set: set.name, system: undefined }, failures);
  if (opened === undefined) {
    task.advance(systems.length);
    return runs;
  }
  const searches = new SharedSearches(opened.dataset, options);
  const folder = new RunFolder(resultsFolder(out, set.name));
  try {
    for (const system of systems) {
      throwIfAborted(signal);
      const encoder = encoders.get(system.name);
      const search = (settings: RetrievalSettings) => searches.open(settings, encoder);
      const work = async () => {
        const expansions = await expansionsFor(opened, system, search, options);
        const warn = (line: string) => options.progress?.warn?.(line);
        return runSystem(opened, system, { folder, search, encoder: encoder?.fingerprint, expansions, warn, signal });
      };
      const run = await attempt(work, { set: set.name, system: system.name }, failures);
      if (run !== undefined) runs.set(system.name, run);
      if (run?.reused === true) task.skip(1);
      else task.advance();
    }
  } finally {
    await searches.close();
  }
  return runs;
}

/** Returns undefined after noting a failure; a stop and a fault of this program are thrown. */
async function attempt<T>(
  work: () => Promise<T>,
  where: Pick<SuiteFailure, 'set' | 'system'>,
  failures: SuiteFailure[],
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isAbort(error) || !(error instanceof LlmQeError)) throw error;
    failures.push({ ...where, message: error.message, fix: error.fix });
    return undefined;
  }
}

async function open(set: SuiteSet, options: SetOptions): Promise<OpenedSet> {
  const { limit, seed, signal } = options;
  const dataset = await openSet(set, options);
  const topics = await loadTopics(dataset, set.split, { limit, seed });
  const plain = { ...topics, queries: topics.queries.map(({ id, text }) => ({ id, text, expansions: [] })) };
  const sample = limit === undefined ? {} : { limit, seed };
  const identity = { ...(await hashesOf(dataset, set.split, signal)), split: set.split, ...sample };
  return { name: set.name, dataset, topics: plain, excluded: await excludedOf(dataset), identity };
}

/** Returns the file of a system's expansions of a set, after writing what is missing; undefined for raw queries. */
async function expansionsFor(
  { name, dataset, topics }: OpenedSet,
  system: SuiteSystem,
  search: WritingRequest['search'],
  { writer, out }: SetOptions,
): Promise<string | undefined> {
  if (system.expansions !== undefined) return resolve(system.expansions.replaceAll('{set}', name));
  const { writer: options } = system;
  if (options === undefined) return undefined;
  const deciding = Object.entries(options).filter(([key]) => !writer.idleOptions.includes(key));
  const key = contentKey(Object.fromEntries(deciding)).slice(0, 10);
  const file = join(resolve(out), 'expansions', name, key, 'expansions.jsonl');
  await writer.write({ dataset, topics, options, system, out: file, search });
  return file;
}

/** Searches of one set, shared by systems with the same settings. */
class SharedSearches {
  readonly #dataset: BeirDataset;
  readonly #options: Pick<RunSuiteOptions, 'signal' | 'progress'>;
  readonly #opened = new Map<string, CorpusSearch>();

  constructor(dataset: BeirDataset, { signal, progress }: Pick<RunSuiteOptions, 'signal' | 'progress'>) {
    this.#dataset = dataset;
    this.#options = { signal, progress };
  }

  /** Alpha is a matter of the retriever, not of the indexes, so systems that differ in it share a search. */
  async open(settings: RetrievalSettings, encoder: Encoder | undefined): Promise<CorpusSearch> {
    const key = contentKey({ ...settings, alpha: undefined });
    const known = this.#opened.get(key);
    if (known !== undefined) return known;
    const search = new CorpusSearch(this.#dataset, settings, { ...this.#options, encoder });
    this.#opened.set(key, search);
    return search;
  }

  async close(): Promise<void> {
    for (const search of this.#opened.values()) await search.close();
  }
}

/** Settings that decide which encoder is opened, and how. */
const ENCODER_KEYS = [
  'encoder',
  'encoderModel',
  'queryPrefix',
  'documentPrefix',
  'batchSize',
  'maxWait',
  'precision',
  'pooling',
  'maxLength',
  'threads',
  'offline',
] as const satisfies readonly (keyof RetrievalSettings)[];

/** Opens each encoder once for all sets. A wrong name is found before anything is downloaded. */
async function openEncoders(
  systems: readonly SuiteSystem[],
  { offline, signal, progress }: RunSuiteOptions,
): Promise<Map<string, Encoder | undefined>> {
  const store = new ModelStore({ offline, progress });
  const opened = new Map<string, Encoder>();
  const bySystem = new Map<string, Encoder | undefined>();
  try {
    for (const { name, retriever, retrieval } of systems) {
      const key = contentKey(Object.fromEntries(ENCODER_KEYS.map((one) => [one, retrieval[one]])));
      if (retriever !== 'bm25' && !opened.has(key)) {
        opened.set(key, await openEncoder(retrieval, store, signal, progress));
      }
      bySystem.set(name, retriever === 'bm25' ? undefined : opened.get(key));
    }
  } catch (error) {
    for (const encoder of opened.values()) await encoder.close();
    throw error;
  }
  return bySystem;
}
