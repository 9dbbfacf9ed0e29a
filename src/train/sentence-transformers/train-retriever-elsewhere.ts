import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint } from '../../models/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { isThere, ModelError, makeFolder, peakMemory, withFileLock } from '../../system/index.ts';
import type { Figures } from '../loop/evaluation.ts';
import { type MetricsRecord, metricsFile } from '../loop/metrics.ts';
import { agreeOnJob } from '../loop/training-folder.ts';
import { type ClusterInput, parseCluster } from '../python/cluster-settings.ts';
import { findPython, type PythonInstallation } from '../python/python-installation.ts';
import { endLeftOver } from '../python/python-program.ts';
import { refuseForeignFiles, refuseForeignFolder } from '../retriever/output-folder.ts';
import { openRetrieverBase, type RetrieverBase } from '../retriever/retriever-base.ts';
import type { ExampleCounts } from '../retriever/retriever-examples.ts';
import { writeRetriever, writeRetrieverInto } from '../retriever/retriever-folder.ts';
import { parseRetrieverSettings } from '../retriever/retriever-settings.ts';
import {
  digestsOf,
  type GivenSides,
  identityOf,
  lossesOf,
  manifestFile,
  readAll,
  type TrainRetrieverOptions,
  type TrainRetrieverResult,
  writeManifest,
} from '../retriever/train-retriever.ts';
import { initialEncoder } from '../retriever/trained-encoder.ts';
import {
  ENGINE_FILES,
  type EnginePlan,
  PROCESS_FILE,
  readLog,
  runScript,
  startCommands,
  trainedStep,
  weightsFile,
  writeMetrics,
  writeRun,
} from './engine-run.ts';
import { needsOf, refuseForEngine } from './engine-settings.ts';
import { countSteps, writeSteps } from './step-files.ts';

export interface TrainRetrieverElsewhereOptions extends Omit<TrainRetrieverOptions, 'threads' | 'cache' | 'guide'> {
  engine?: ClusterInput | undefined;
  /** Environment in which Python is searched; default: that of this process. */
  environment?: NodeJS.ProcessEnv | undefined;
  /** Receives the commands to run on the other machines, in the run's folder, once this machine waits for them. */
  onCommands?: ((commands: readonly string[]) => void) | undefined;
}

export interface TrainRetrieverElsewhereResult extends TrainRetrieverResult {
  /** Undefined if the run had already finished. */
  installation: PythonInstallation | undefined;
}

export interface RetrieverFiles {
  folder: string;
  /** The command to run in that folder on each machine, starting with the first. */
  commands: string[];
  steps: number;
  counts: { train: ExampleCounts; dev: ExampleCounts | undefined };
  duplicatesInBatch: number;
}

/**
 * Trains an encoder with the same settings, rows and batches as `trainRetriever`, but with sentence-transformers on the GPUs and machines
 * of the engine's settings, and imports the encoder into `out`. This process starts and follows the part of the first machine. An
 * interrupted run resumes from its last checkpoint; a finished one, also from elsewhere, is only imported.
 *
 * With `evaluate`, the encoders of all evaluations are measured at the end, and the best one is the result.
 * @throws UsageError for settings that the engine cannot honour, and a folder of another run; ResourceError if sentence-transformers is not
 * installed or fails; DataError, ModelError, DivergedError; AbortedError after the signal
 */
export async function trainRetrieverElsewhere(
  options: TrainRetrieverElsewhereOptions,
): Promise<TrainRetrieverElsewhereResult> {
  const { out, signal, progress } = options;
  return withJob(options, async (job) => {
    const what = 'trains in the same folder';
    return withFileLock(join(out, '.lock'), () => train(job, options), { what, signal, progress });
  });
}

/** Writes everything that the same training needs, without starting it. @throws as {@link trainRetrieverElsewhere} */
export async function prepareRetrieverElsewhere(options: TrainRetrieverElsewhereOptions): Promise<RetrieverFiles> {
  return withJob(options, async (job) => {
    const duplicatesInBatch = await writeFiles(job, options);
    const { plan, examples } = job;
    const counts = { train: examples.train.counts, dev: examples.dev?.counts };
    const { steps, cluster } = plan;
    return { folder: options.out, commands: startCommands(cluster), steps, counts, duplicatesInBatch };
  });
}

interface Job {
  started: number;
  base: RetrieverBase;
  examples: GivenSides;
  plan: EnginePlan;
}

async function withJob<T>(options: TrainRetrieverElsewhereOptions, work: (job: Job) => Promise<T>): Promise<T> {
  const started = performance.now();
  const settings = parseRetrieverSettings(options.settings ?? {});
  refuseForEngine(settings);
  await refuseForeignFolder(options.out);
  await refuseForeignFiles(options.out, ENGINE_FILES);
  const cluster = parseCluster(options.engine);
  const base = await openRetrieverBase(options.encoder, settings, options.reading);
  try {
    const examples = await readAll(base, settings, options);
    const counts = countSteps({ train: examples.train.examples, settings });
    const evalSteps = Math.min(settings.evalSteps ?? counts.stepsPerEpoch, counts.steps);
    const keeps = options.evaluate !== undefined || examples.dev !== undefined;
    const plan = { settings, cluster, ...counts, evalSteps, keeps };
    await makeFolder(options.out);
    await agreeOnJob(options.out, 'sentence-transformers', jobOf(base, examples, plan, options));
    return await work({ started, base, examples, plan });
  } finally {
    await base.close();
  }
}

/** Everything that determines the result. */
function jobOf(
  base: RetrieverBase,
  examples: GivenSides,
  { settings, cluster }: EnginePlan,
  options: TrainRetrieverElsewhereOptions,
): object {
  const { mainProcessIp: _address, mainProcessPort: _port, ...computed } = cluster;
  const { saveSteps: _saves, ...decides } = settings;
  return {
    ...{ engine: 'sentence-transformers', version: 1, computed, settings: decides },
    ...{ task: identityOf(base, settings, 'whole', options), ...digestsOf(examples) },
  };
}

async function writeFiles(
  { base, examples, plan }: Job,
  { out, signal }: TrainRetrieverElsewhereOptions,
): Promise<number> {
  const { settings } = plan;
  const initial = await initialEncoder(base, settings);
  const data = { train: examples.train.examples, dev: examples.dev?.examples ?? [], settings };
  const fallbacks = await writeSteps(out, data, settings.loraR === undefined ? undefined : initial, signal);
  await writeRun(out, base, initial, plan);
  return fallbacks;
}

async function train(job: Job, options: TrainRetrieverElsewhereOptions): Promise<TrainRetrieverElsewhereResult> {
  const { out, environment, signal } = options;
  const { plan, examples } = job;
  await endLeftOver(out, PROCESS_FILE);
  let installation: PythonInstallation | undefined;
  if (((await trainedStep(out)) ?? 0) < plan.steps) {
    installation = await findPython(needsOf(plan.settings), { environment, signal });
    await writeFiles(job, options);
    if (plan.cluster.machines > 1) options.onCommands?.(startCommands(plan.cluster).slice(1));
    await runScript(plan, { folder: out, installation, ...options });
  }
  const step = (await trainedStep(out)) ?? 0;
  if (step < plan.steps) {
    throw new ModelError(`the training ended after step ${step} of ${plan.steps}`, {
      file: out,
      fix: 'Read sentence-transformers.log in this folder, then run the same command again.',
    });
  }
  const found = await importResult(job, options);
  const result: TrainRetrieverElsewhereResult = {
    ...{ model: out, steps: plan.steps, stopped: 'finished', ridge: undefined, ...found, installation },
    counts: { train: examples.train.counts, dev: examples.dev?.counts },
    duplicatesInBatch: 0,
    ...{ metricsFile: metricsFile(out), manifestFile: manifestFile(out) },
    seconds: (performance.now() - job.started) / 1000,
    peakBytes: peakMemory(),
  };
  // A finished run already has its manifest, unless it ended on another machine.
  if (installation !== undefined || !(await isThere(result.manifestFile))) {
    const engine = { name: 'sentence-transformers', settings: plan.cluster, versions: installation?.versions };
    await writeManifest(plan.settings, examples, options, result, engine);
  }
  return result;
}

/** Imports metrics, and the encoder of the best evaluation, or of the last step if there is none. */
async function importResult(
  job: Job,
  options: TrainRetrieverElsewhereOptions,
): Promise<Pick<TrainRetrieverResult, 'parts' | 'step' | 'loss' | 'dev'>> {
  const { plan, base } = job;
  const { out, signal } = options;
  const metrics = await readLog(out);
  const dev = await measure(job, metrics, options);
  await writeMetrics(out, metrics);
  const step = dev?.best.step ?? bestStep(metrics, plan) ?? plan.steps;
  const parameters = await readWeights(job, out, step);
  const parts = await writeRetrieverInto(out, base, parameters, plan.settings, signal);
  return { parts, step, loss: lossesOf(metrics), dev };
}

/** The step of the best evaluation of held-out rows. */
function bestStep(metrics: readonly MetricsRecord[], { settings }: EnginePlan): number | undefined {
  const { metricForBestModel: metric, greaterIsBetter } = settings;
  const sign = greaterIsBetter ? -1 : 1;
  const evaluated = metrics.filter(
    ({ split, values }) => split === 'dev' && Number.isFinite(values[metric] ?? Number.NaN),
  );
  return evaluated.sort((a, b) => sign * (a.values[metric]! - b.values[metric]!) || a.step - b.step)[0]?.step;
}

/** Measures the encoder as it came and that of every evaluation; the first figure chooses. */
async function measure(
  job: Job,
  metrics: MetricsRecord[],
  { evaluate, encoder, out, signal }: TrainRetrieverElsewhereOptions,
): Promise<TrainRetrieverResult['dev']> {
  if (evaluate === undefined) return undefined;
  const { plan, base } = job;
  const before = await evaluate(encoder.path, signal);
  const folder = join(out, '.evaluated');
  const chooses = Object.keys(before)[0]!;
  let best: (Figures & { step?: number }) | undefined;
  try {
    for (let step = plan.evalSteps; ; step = Math.min(step + plan.evalSteps, plan.steps)) {
      await writeRetriever(folder, base, await readWeights(job, out, step), plan.settings, signal);
      const figures = await evaluate(folder, signal);
      addFigures(metrics, step, step / plan.stepsPerEpoch, figures);
      if (best === undefined || figures[chooses]! > best[chooses]!) best = { ...figures, step };
      if (step === plan.steps) break;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { before, best: best! };
}

/** Adds figures to those of held-out rows at the same step, if there are any. */
function addFigures(metrics: MetricsRecord[], step: number, epoch: number, figures: Figures): void {
  const known = metrics.find((record) => record.split === 'dev' && record.step === step);
  if (known !== undefined) Object.assign(known.values, figures);
  else metrics.push({ time: Date.now(), step, epoch, split: 'dev', values: figures });
}

/** The weights that the script saved at a step, under our names. @throws ModelError if they are others */
async function readWeights({ base, plan }: Job, out: string, step: number): Promise<Parameters> {
  const parameters = await initialEncoder(base, plan.settings);
  const file = weightsFile(out, step);
  const checkpoint = await openCheckpoint(file);
  try {
    for (const name of parameters.names()) parameters.set(name, Float32Array.from(await checkpoint.read(name)));
  } finally {
    await checkpoint.close();
  }
  return parameters;
}
