import { rm } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { exportSafetensors, type ResolvedModel, writeAdapter } from '../../models/index.ts';
import { GRAPH_CACHE, type Parameters } from '../../nn/index.ts';
import { isThere, makeFolder, packageVersion, writeDurably } from '../../system/index.ts';
import { examplesTaken } from '../loop/batches.ts';
import { loadParameters } from '../loop/checkpoint.ts';
import { type TrainingExamples, type TrainingResult, type TrainOptions, train } from '../loop/trainer.ts';
import { TrainingFolder } from '../loop/training-folder.ts';
import { loopSettingsOf, type TrainingSettingsInput } from '../loop/training-settings.ts';
import type { TrainingTask } from '../loop/training-task.ts';
import type { TokenPair } from './chat-tokens.ts';
import { type GeneratorBase, openGeneratorBase } from './generator-base.ts';
import {
  countsOf,
  type GeneratorPairsOptions,
  openGeneratorPairs,
  type PairCounts,
  pairHashes,
} from './generator-pairs.ts';
import {
  type GeneratorTrainingInput,
  type GeneratorTrainingSettings,
  parseGeneratorSettings,
} from './generator-settings.ts';
import { adapterFrom, type GeneratorStepOptions } from './generator-step.ts';
import { packedLength } from './packing.ts';
import { type PreferenceExample, PreferenceTask } from './preference-task.ts';
import { watchSteps } from './preference-watch.ts';
import { REFERENCE_CACHE, withReference } from './reference-log-probabilities.ts';
import { type SupervisedExample, SupervisedTask } from './supervised-task.ts';

export interface TrainGeneratorOptions
  extends GeneratorPairsOptions,
    Pick<TrainOptions, 'signal' | 'progress' | 'onStep' | 'onEvaluation'> {
  /** The chat model to train. */
  base: ResolvedModel;
  /** Receives the result, checkpoints, metrics.jsonl and manifest.json. An interrupted run resumes in its folder. */
  out: string;
  settings?: GeneratorTrainingInput | undefined;
  /** Default: one per core. */
  threads?: number | undefined;
  /** Cache folder of compiled models and reference log-probabilities. Default: the store's. */
  cache?: string | undefined;
  /** Facts for the manifest, such as the origin of the pairs. */
  about?: Record<string, unknown> | undefined;
}

export interface TrainGeneratorResult {
  /** Folder of the adapter in PEFT's layout, or of the full model in Transformers' layout. */
  path: string;
  kind: 'adapter' | 'model';
  /** The step that produced these parameters. */
  step: number;
  training: TrainingResult;
  train: PairCounts;
  dev: PairCounts;
  /** Whether steps were computed whole or in blocks. */
  mode: 'whole' | 'blocks';
  manifestFile: string;
  metricsFile: string;
  seconds: number;
}

/**
 * Trains a generator on preference pairs: by DPO, or by SFT on the chosen side. Writes `adapter/` in PEFT's layout (or
 * `model/`), `metrics.jsonl`, checkpoints, and `manifest.json`. Equal pairs, base and settings give equal bytes, even
 * if the run was interrupted.
 * @throws UsageError, DataError, ModelError, ResourceError, DivergedError; AbortedError after the signal
 */
export async function trainGenerator(options: TrainGeneratorOptions): Promise<TrainGeneratorResult> {
  const started = performance.now();
  const settings = parseGeneratorSettings(options.settings ?? {});
  const base = await openGeneratorBase(options.base);
  try {
    const run = await prepare(base, settings, options);
    try {
      await makeFolder(options.out);
      // The folder may belong to another run. That is detected, and refused, only when training begins.
      if (!(await isThere(manifestFile(options.out)))) await writeManifest(run, options, undefined);
      const training = await run.train();
      const kept = settings.loadBestModelAtEnd && training.best !== undefined ? training.best : training.last;
      await loadParameters(kept.folder, run.parameters);
      const result: TrainGeneratorResult = {
        ...(await writeResult(run.parameters, settings, options)),
        ...{ step: kept.step, training, train: run.counts.train, dev: run.counts.dev, mode: run.mode },
        manifestFile: manifestFile(options.out),
        metricsFile: training.metricsFile,
        seconds: (performance.now() - started) / 1000,
      };
      await writeManifest(run, options, result);
      return result;
    } finally {
      await run.close();
    }
  } finally {
    await base.close();
  }
}

/** Everything a run needs, whatever its method. */
interface PreparedRun {
  settings: GeneratorTrainingSettings;
  parameters: Parameters;
  counts: { train: PairCounts; dev: PairCounts };
  mode: 'whole' | 'blocks';
  train(): Promise<TrainingResult>;
  close(): Promise<void>;
}

async function prepare(
  base: GeneratorBase,
  settings: GeneratorTrainingSettings,
  options: TrainGeneratorOptions,
): Promise<PreparedRun> {
  const given = await openGeneratorPairs(base, settings, options);
  const tokens = { train: given.train.tokenized.pairs, dev: given.dev.tokenized.pairs };
  // `auto` depends on the memory, which may have changed since, and the mode affects the last bits.
  const begun = settings.mode === 'auto' ? await begunMode(options.out) : undefined;
  const computed = begun === undefined ? settings : { ...settings, mode: begun };
  const prepared = await (settings.method === 'dpo' ? preferences : supervised)(base, tokens, computed, options);
  const counts = { train: countsOf(given.train), dev: countsOf(given.dev) };
  return { settings, counts, ...prepared };
}

/** Whether an interrupted run in the folder was computed whole or in blocks. */
async function begunMode(out: string): Promise<'whole' | 'blocks' | undefined> {
  const identity = await TrainingFolder.identityOf(out);
  const begun = z.object({ mode: z.enum(['whole', 'blocks']) }).safeParse(identity?.task);
  return begun.data?.mode;
}

type Prepared = Omit<PreparedRun, 'settings' | 'counts'>;

async function preferences(
  base: GeneratorBase,
  { train, dev }: TrainingExamples<TokenPair>,
  settings: GeneratorTrainingSettings,
  options: TrainGeneratorOptions,
): Promise<Prepared> {
  const lengths = [...train, ...dev].map(({ prompt, chosen, rejected }) =>
    packedLength({ prompt, completions: [chosen, rejected] }),
  );
  const task = await PreferenceTask.open(base, { ...stepOptions(settings, options, lengths), loss: settings });
  return guarded(task, async () => {
    const { microBatchTokens, device, storage } = settings;
    const { signal, progress } = options;
    const cache = REFERENCE_CACHE.folder(options.cache);
    const { fingerprint } = base;
    const taken = examplesTaken(train.length, settings);
    const learnt = train.filter((_pair, index) => taken.has(index));
    const examples = await withReference(task, [...learnt, ...dev], {
      cache,
      fingerprint,
      microBatchTokens,
      device,
      storage,
      signal,
      progress,
    });
    const parts: TrainingExamples<PreferenceExample> = {
      train: spread(train, examples.slice(0, learnt.length), taken),
      dev: examples.slice(learnt.length),
    };
    return preparedOf(task, parts, base, settings, { ...options, onStep: watchSteps(options) });
  });
}

/** Keeps pairs that no step uses in their places, without a reference. */
function spread(
  pairs: readonly TokenPair[],
  examples: readonly PreferenceExample[],
  taken: ReadonlySet<number>,
): PreferenceExample[] {
  let next = 0;
  return pairs.map((pair, index) =>
    taken.has(index) ? examples[next++]! : { ...pair, reference: [Number.NaN, Number.NaN] },
  );
}

async function supervised(
  base: GeneratorBase,
  { train: trainPairs, dev: devPairs }: TrainingExamples<TokenPair>,
  settings: GeneratorTrainingSettings,
  options: TrainGeneratorOptions,
): Promise<Prepared> {
  const learn = (pairs: readonly TokenPair[]): SupervisedExample[] =>
    pairs.map(({ id, prompt, chosen }) => ({ id, prompt, completion: chosen }));
  const examples = { train: learn(trainPairs), dev: learn(devPairs) };
  const lengths = [...examples.train, ...examples.dev].map(({ prompt, completion }) =>
    packedLength({ prompt, completions: [completion] }),
  );
  const task = await SupervisedTask.open(base, stepOptions(settings, options, lengths));
  return guarded(task, async () => preparedOf(task, examples, base, settings, options));
}

/** Closes the task if `work` fails. */
async function guarded<T>(task: { close(): Promise<void> }, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await task.close();
    throw error;
  }
}

function preparedOf<Example>(
  task: TrainingTask<Example> & { mode: 'whole' | 'blocks' },
  examples: TrainingExamples<Example>,
  base: GeneratorBase,
  settings: GeneratorTrainingSettings,
  { out: folder, signal, progress, onStep, onEvaluation }: TrainGeneratorOptions,
): Prepared {
  const identity = identityOf(base, settings, task.mode);
  const options: TrainOptions = { folder, identity, signal, progress, onStep, onEvaluation };
  return {
    parameters: task.parameters,
    mode: task.mode,
    train: () => train(task, examples, trainingSettings(settings), options),
    close: () => task.close(),
  };
}

/** What determines the result in addition to examples, initial values and the loop's own settings. */
function identityOf(base: GeneratorBase, settings: GeneratorTrainingSettings, mode: string): unknown {
  const { method, full, maxLength, storage, device } = settings;
  const { beta, lossType, lossWeights, labelSmoothing } = settings;
  const loss = method === 'dpo' ? { beta, lossType, lossWeights, labelSmoothing } : undefined;
  const lora = full ? undefined : effectiveLora(settings);
  return { method, base: base.fingerprint, loss, lora, maxLength, mode, storage, device };
}

/** The settings for the loop: its own, with `packed`. */
export function trainingSettings(settings: GeneratorTrainingSettings): TrainingSettingsInput {
  return { ...loopSettingsOf(settings), packed: true };
}

function stepOptions(
  settings: GeneratorTrainingSettings,
  { threads = availableParallelism(), cache, signal }: TrainGeneratorOptions,
  lengths: readonly number[],
): GeneratorStepOptions {
  const { seed, microBatchTokens, mode, memory, storage, device } = settings;
  return {
    ...{ seed, microBatchTokens, mode, memory, storage, device, threads, signal },
    lora: settings.full ? undefined : effectiveLora(settings),
    longest: lengths.reduce((most, length) => Math.max(most, length), 1),
    cache: GRAPH_CACHE.folder(cache),
  };
}

/** The adapter's settings as used in computation. */
function effectiveLora({
  method,
  disableDropout,
  loraR,
  loraAlpha,
  loraDropout,
  loraTargetModules,
  useRslora,
}: GeneratorTrainingSettings) {
  const isOff = method === 'dpo' && disableDropout;
  return { loraR, loraAlpha, loraDropout: isOff ? 0 : loraDropout, loraTargetModules, useRslora };
}

async function writeResult(
  parameters: Parameters,
  settings: GeneratorTrainingSettings,
  { base, out, signal, progress }: TrainGeneratorOptions,
): Promise<Pick<TrainGeneratorResult, 'path' | 'kind'>> {
  if (!settings.full) {
    const path = join(out, 'adapter');
    await writeAdapter(path, adapterFrom(parameters, settings, base.name));
    return { path, kind: 'adapter' };
  }
  const path = join(out, 'model');
  const weights = new Map(parameters.names().map((name) => [name, parameters.get(name)]));
  // It is left over from an earlier end of this same run: the checkpoint folder was checked before.
  await rm(path, { recursive: true, force: true });
  await exportSafetensors(path, { base: base.path, weights, signal, progress });
  return { path, kind: 'model' };
}

export function manifestFile(out: string): string {
  return join(out, 'manifest.json');
}

/** @param result undefined while the run is in progress */
async function writeManifest(
  { settings, counts, mode }: PreparedRun,
  { base, pairs, devPairs, chatTemplateKwargs, out, threads, about }: TrainGeneratorOptions,
  result: TrainGeneratorResult | undefined,
): Promise<void> {
  const { name, fingerprint, source } = base;
  const document = {
    stage: 'train generator',
    version: packageVersion(),
    settings,
    base: { name, fingerprint, source },
    inputs: { ...pairHashes({ pairs, devPairs, chatTemplateKwargs }), ...about },
    counts,
    mode,
    host: { name: hostname(), platform: process.platform, threads: threads ?? availableParallelism() },
    result: result && {
      kind: result.kind,
      step: result.step,
      steps: result.training.steps,
      stopped: result.training.stopped,
      best: result.training.best && { step: result.training.best.step, value: result.training.best.value },
      seconds: Math.round(result.seconds),
    },
  };
  await writeDurably(manifestFile(out), `${JSON.stringify(document, null, 2)}\n`);
}
