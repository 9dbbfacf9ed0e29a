import { rm } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { join } from 'node:path';
import type { Encoder } from '../../embed/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { GRAPH_CACHE } from '../../nn/index.ts';
import {
  counted,
  isThere,
  makeFolder,
  packageVersion,
  peakMemory,
  UsageError,
  writeDurably,
} from '../../system/index.ts';
import { loadParameters } from '../loop/checkpoint.ts';
import { type Figures, figureForBest } from '../loop/evaluation.ts';
import type { MetricsRecord } from '../loop/metrics.ts';
import { readMetrics } from '../loop/metrics.ts';
import { hashExamples } from '../loop/run-identity.ts';
import { type TrainingResult, type TrainOptions, train } from '../loop/trainer.ts';
import { agreeOnJob } from '../loop/training-folder.ts';
import { loopSettingsOf, type TrainingSettingsInput } from '../loop/training-settings.ts';
import { wantsJoined } from './contrastive-batch.ts';
import { ContrastiveTask, type Guides } from './contrastive-task.ts';
import { DistinctBatches } from './distinct-batches.ts';
import { Guide } from './guide.ts';
import { refuseForeignFolder, STAGE } from './output-folder.ts';
import { type EncoderReading, openRetrieverBase, type RetrieverBase } from './retriever-base.ts';
import type { RetrieverExample } from './retriever-example.ts';
import { describeSkippedRows, type ExampleCounts, readExamples } from './retriever-examples.ts';
import { writeRetriever, writeRetrieverInto } from './retriever-folder.ts';
import {
  parseRetrieverSettings,
  type RetrieverTrainingInput,
  type RetrieverTrainingSettings,
} from './retriever-settings.ts';
import { fitRidge } from './ridge-map.ts';
import { openRows, type RetrieverRows } from './row-texts.ts';

export interface TrainRetrieverOptions extends Pick<TrainOptions, 'signal' | 'progress' | 'onStep' | 'onEvaluation'> {
  /** The encoder to train, of the BERT family. */
  encoder: ResolvedModel;
  reading?: EncoderReading | undefined;
  /** With a guide they are read several times: pass a list, or a function that opens them. */
  rows: RetrieverRows;
  /** Held-out rows; each evaluation measures their loss. */
  devRows?: RetrieverRows | undefined;
  /** The files that the rows come from, for error messages. */
  files?: { train?: string | undefined; dev?: string | undefined } | undefined;
  /**
   * An encoder that says which negatives are too similar to the query to count, by the margins, which then are those of its
   * similarities. Its vectors are computed once and cached. The caller closes it.
   */
  guide?: Encoder | undefined;
  /** Folder of the trained encoder, with checkpoints, metrics.jsonl and manifest.json. An interrupted run resumes in its folder. */
  out: string;
  settings?: RetrieverTrainingInput | undefined;
  /**
   * Measures the encoder in a folder, such as `nDCG@10` on development queries. The first measure chooses the best checkpoint.
   * `scratch` is a place for what is of no use afterwards, since this encoder is removed again; undefined for one that stays.
   */
  evaluate?: ((folder: string, signal?: AbortSignal, scratch?: string) => Promise<Figures>) | undefined;
  /** Describes what `evaluate` does, as plain JSON. A run resumes only with the same description. */
  evaluation?: unknown;
  /** Default: one per core. */
  threads?: number | undefined;
  /** Folder of the caches. Default: the store's. */
  cache?: string | undefined;
  /** Facts for the manifest, such as where the rows came from. */
  about?: Record<string, unknown> | undefined;
  /** Receives warnings. */
  warn?: ((line: string) => void) | undefined;
}

export interface TrainRetrieverResult {
  /** Folder of the encoder. */
  model: string;
  /** The files and folders in it that are the encoder. */
  parts: string[];
  steps: number;
  /** The step whose weights these are. */
  step: number;
  stopped: TrainingResult['stopped'];
  /** Loss of the first and the last step; with ridge, before and after. */
  loss: { first: number; last: number };
  /** Measures of the original encoder and of the best checkpoint, if there is an evaluation. */
  dev: { before: Figures; best: Figures & { step?: number } } | undefined;
  counts: { train: ExampleCounts; dev: ExampleCounts | undefined };
  /** Rows that share a batch with a duplicate, which is masked there. */
  duplicatesInBatch: number;
  /** With ridge: its strength, as set or as chosen on held-out rows. */
  ridge: number | undefined;
  metricsFile: string | undefined;
  manifestFile: string;
  seconds: number;
  /** Peak memory of the process, in bytes. */
  peakBytes: number;
}

/**
 * Trains an encoder on rows of queries, expansions and documents. Writes the encoder, in the layout of sentence-transformers, into
 * `out`, with metrics.jsonl, checkpoints and manifest.json. Equal rows, encoder and settings give equal bytes, even if the run was
 * interrupted.
 * @throws UsageError, DataError, ModelError, ResourceError, DivergedError; AbortedError after the signal
 */
export async function trainRetriever(options: TrainRetrieverOptions): Promise<TrainRetrieverResult> {
  const started = performance.now();
  const settings = parseRetrieverSettings(options.settings ?? {});
  if (settings.method === 'ridge' && options.guide !== undefined) {
    throw new UsageError('the guide has no effect: ridge has no negatives', { fix: 'Omit it, or use another method.' });
  }
  await refuseForeignFolder(options.out);
  const base = await openRetrieverBase(options.encoder, settings, options.reading);
  try {
    const examples = await readAll(base, settings, options);
    await makeFolder(options.out);
    if (!(await isThere(manifestFile(options.out)))) await writeManifest(settings, examples, options, undefined);
    const found = await (settings.method === 'ridge' ? ridge : trained)(base, settings, examples, options);
    const result: TrainRetrieverResult = {
      ...found,
      counts: { train: examples.train.counts, dev: examples.dev?.counts },
      manifestFile: manifestFile(options.out),
      seconds: (performance.now() - started) / 1000,
      peakBytes: peakMemory(),
    };
    await writeManifest(settings, examples, options, result);
    return result;
  } finally {
    await base.close();
  }
}

export interface Given {
  examples: RetrieverExample[];
  counts: ExampleCounts;
}

export interface GivenSides {
  train: Given;
  dev: Given | undefined;
}

type Found = Omit<TrainRetrieverResult, 'counts' | 'manifestFile' | 'seconds' | 'peakBytes'>;

export async function readAll(
  base: RetrieverBase,
  settings: RetrieverTrainingSettings,
  { rows, devRows, files, signal, warn }: TrainRetrieverOptions,
): Promise<GivenSides> {
  const read = async (some: RetrieverRows, split: 'train' | 'dev'): Promise<Given> => {
    const { batchSize, ...forEvaluation } = settings;
    const given = await readExamples(base, some, split === 'train' ? settings : forEvaluation, {
      file: files?.[split],
      signal,
    });
    for (const line of remarks(given.counts, split, base)) warn?.(line);
    return given;
  };
  return { train: await read(rows, 'train'), dev: devRows === undefined ? undefined : await read(devRows, 'dev') };
}

/** @throws UsageError for rows that can be read only once */
async function openGuides(
  settings: RetrieverTrainingSettings,
  { guide: encoder, rows, devRows, cache, signal, progress }: TrainRetrieverOptions,
): Promise<Guides | undefined> {
  if (encoder === undefined) return undefined;
  const open = (some: RetrieverRows) => {
    if (typeof some === 'function' || Array.isArray(some)) {
      const options = { wantsJoined: wantsJoined(settings), cache, signal, progress };
      return Guide.open(encoder, () => openRows(some), options);
    }
    throw new UsageError('a guide reads the rows several times', {
      fix: 'Pass the rows as a list, or as a function that opens them.',
    });
  };
  return { train: await open(rows), dev: devRows && (await open(devRows)) };
}

function remarks(counts: ExampleCounts, split: string, { recipe }: RetrieverBase): string[] {
  const { rows, examples, skippedIds, negativesThatArePositives, emptyTexts, cutTexts } = counts;
  return [
    ...(rows > examples
      ? [
          `${counted(rows - examples, `${split} row is`, `${split} rows are`)} left out (${describeSkippedRows(counts)}), such as ${skippedIds.join(', ')}`,
        ]
      : []),
    ...(negativesThatArePositives > 0
      ? [`left out of ${split} rows: ${counted(negativesThatArePositives, 'negative')} relevant to the same query`]
      : []),
    ...(emptyTexts > 0
      ? [`left out of ${split} rows: ${counted(emptyTexts, 'text')} without a word that the encoder reads`]
      : []),
    ...(cutTexts > 0
      ? [
          `${counted(cutTexts, `text of ${split} rows is`, `texts of ${split} rows are`)} cut at ${recipe.maxLength} tokens`,
        ]
      : []),
  ];
}

async function trained(
  base: RetrieverBase,
  settings: RetrieverTrainingSettings,
  { train: given, dev }: GivenSides,
  options: TrainRetrieverOptions,
): Promise<Found> {
  const { out, signal, progress, onStep, onEvaluation, warn } = options;
  const guides = await openGuides(settings, options);
  const task = await ContrastiveTask.open(base, { settings, guides, ...computeOf(options) });
  try {
    const distinct = new DistinctBatches(given.examples);
    const evaluation = new ModelEvaluation(base, task, settings, options);
    const before = await evaluation.before();
    const metric = Object.keys(before ?? {})[0];
    if (before !== undefined && dev === undefined) checkMetric(before, settings);
    const loop = loopOf(settings, metric);
    const training = await train(task, { train: given.examples, dev: dev?.examples ?? [] }, loop, {
      folder: out,
      identity: identityOf(base, settings, task.mode, options),
      arrange: distinct.arrange,
      ...(before !== undefined && { evaluate: (stop) => evaluation.figures(stop) }),
      ...{ signal, progress, onStep, onEvaluation },
    });
    if (distinct.fallbacks > 0) {
      warn?.(
        `${counted(distinct.fallbacks, 'row of an epoch shares', 'rows of an epoch share')} a batch with a row of the same text; such texts are masked there`,
      );
    }
    const kept = training.best ?? training.last;
    await loadParameters(kept.folder, task.parameters);
    const parts = await writeRetrieverInto(out, base, task.parameters, settings, signal);
    const metrics = await readMetrics(out);
    return {
      ...{ model: out, parts, steps: training.steps, step: kept.step, stopped: training.stopped },
      loss: lossesOf(metrics),
      dev: before && { before, best: bestFigures(metrics, training, before) },
      duplicatesInBatch: distinct.fallbacks,
      ridge: undefined,
      metricsFile: training.metricsFile,
    };
  } finally {
    await Promise.all([task.close(), guides?.train.close(), guides?.dev?.close()]);
  }
}

async function ridge(
  base: RetrieverBase,
  settings: RetrieverTrainingSettings,
  examples: GivenSides,
  options: TrainRetrieverOptions,
): Promise<Found> {
  const task = identityOf(base, settings, 'closed form', options);
  await agreeOnJob(options.out, 'ridge', { task, seed: settings.seed, train: digestsOf(examples).train });
  const { parameters, loss, strength } = await fitRidge(base, examples.train.examples, {
    settings,
    ...computeOf(options),
  });
  const { out, evaluate, encoder, signal } = options;
  const before = await evaluate?.(encoder.path, signal);
  const written: RetrieverTrainingSettings = { ...settings, train: 'projection', loraR: undefined };
  const parts = await writeRetrieverInto(out, base, parameters, written, signal);
  const best = await evaluate?.(out, signal);
  return {
    ...{ model: out, parts, steps: 1, step: 1, stopped: 'finished', loss, duplicatesInBatch: 0 },
    ...{ ridge: strength, metricsFile: undefined },
    dev: before && best && { before, best },
  };
}

function computeOf({ threads = availableParallelism(), cache, signal }: TrainRetrieverOptions) {
  return { threads, cache: GRAPH_CACHE.folder(cache), signal };
}

/** Evaluates the encoder as it stands by writing it into a folder that is removed again, with what was computed from it. */
class ModelEvaluation {
  readonly #base: RetrieverBase;
  readonly #task: ContrastiveTask;
  readonly #settings: RetrieverTrainingSettings;
  readonly #options: TrainRetrieverOptions;

  constructor(
    base: RetrieverBase,
    task: ContrastiveTask,
    settings: RetrieverTrainingSettings,
    options: TrainRetrieverOptions,
  ) {
    this.#base = base;
    this.#task = task;
    this.#settings = settings;
    this.#options = options;
  }

  /** Figures of the encoder as it came; undefined if there is nothing to evaluate by. */
  async before(): Promise<Figures | undefined> {
    return this.#options.evaluate?.(this.#options.encoder.path, this.#options.signal);
  }

  async figures(signal: AbortSignal | undefined): Promise<Figures> {
    const [folder, scratch] = [join(this.#options.out, '.evaluated'), join(this.#options.out, '.evaluation')];
    try {
      await writeRetriever(folder, this.#base, this.#task.parameters, this.#settings, signal);
      return await this.#options.evaluate!(folder, signal, scratch);
    } finally {
      for (const one of [folder, scratch]) await rm(one, { recursive: true, force: true });
    }
  }
}

/** The loop's own settings; the best checkpoint is that of the greatest figure, or of the least loss on held-out rows. */
function loopOf(settings: RetrieverTrainingSettings, metric: string | undefined): TrainingSettingsInput {
  const own = loopSettingsOf(settings);
  return metric === undefined || settings.metricForBestModel !== 'loss'
    ? own
    : { ...own, metricForBestModel: metric, greaterIsBetter: true };
}

/** Finds a misspelt metric before the training. @throws UsageError */
function checkMetric(before: Figures, { metricForBestModel }: RetrieverTrainingSettings): void {
  if (metricForBestModel !== 'loss') figureForBest(before, metricForBestModel);
}

/** Everything that determines the outcome other than the examples, the initial values and the loop's settings. */
export function identityOf(
  { recipe }: RetrieverBase,
  settings: RetrieverTrainingSettings,
  mode: string,
  { evaluation, guide }: TrainRetrieverOptions,
): unknown {
  const loop = Object.keys(loopSettingsOf(settings));
  const decides = Object.entries(settings).filter(([name]) => !loop.includes(name) && !NOT_DECISIVE.has(name));
  const { pooling, normalize, maxLength, prefixes, model } = recipe;
  const encoder = { fingerprint: model.fingerprint, pooling, normalize, maxLength, prefixes };
  return { encoder, ...Object.fromEntries(decides), mode, guide: guide?.fingerprint, evaluation: evaluation ?? null };
}

/** `mode` is stated as it was chosen. `memory` decides whether a batch goes through the encoder once, and so its rounding. */
/** The content of the rows, by which a run is known. */
export function digestsOf({ train: given, dev }: GivenSides): Record<'train' | 'dev', object | null> {
  const digest = ({ examples }: Given) => ({ examples: examples.length, hash: hashExamples(examples) });
  return { train: digest(given), dev: dev === undefined ? null : digest(dev) };
}

const NOT_DECISIVE = new Set(['mode']);

export function lossesOf(metrics: readonly MetricsRecord[]): { first: number; last: number } {
  const losses = metrics.filter(({ split }) => split === 'train').map(({ values }) => values.loss ?? Number.NaN);
  return { first: losses[0] ?? Number.NaN, last: losses.at(-1) ?? Number.NaN };
}

function bestFigures(
  metrics: readonly MetricsRecord[],
  { best }: TrainingResult,
  before: Figures,
): Figures & { step?: number } {
  const record = metrics.find(({ split, step }) => split === 'dev' && step === best?.step);
  const figures = Object.keys(before).map((name) => [name, record?.values[name] ?? Number.NaN] as const);
  return { ...Object.fromEntries(figures), ...(best && { step: best.step }) };
}

export function manifestFile(out: string): string {
  return join(out, 'manifest.json');
}

/**
 * @param result undefined while the run is under way
 * @param engine what trained, if not this program
 */
export async function writeManifest(
  settings: RetrieverTrainingSettings,
  { train: given, dev }: GivenSides,
  { encoder, out, threads, about }: TrainRetrieverOptions,
  result: TrainRetrieverResult | undefined,
  engine?: unknown,
): Promise<void> {
  const { name, fingerprint, source } = encoder;
  const document = {
    stage: STAGE,
    version: packageVersion(),
    settings,
    ...(engine !== undefined && { engine }),
    encoder: { name, fingerprint, source },
    inputs: about ?? {},
    counts: { train: given.counts, dev: dev?.counts },
    host: { name: hostname(), platform: process.platform, threads: threads ?? availableParallelism() },
    result: result && {
      ...{ steps: result.steps, step: result.step, stopped: result.stopped, loss: result.loss, dev: result.dev },
      ...{ duplicatesInBatch: result.duplicatesInBatch, ridge: result.ridge, seconds: Math.round(result.seconds) },
    },
  };
  await writeDurably(manifestFile(out), `${JSON.stringify(document, null, 2)}\n`);
}
