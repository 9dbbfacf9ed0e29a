import { readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { exportSafetensors, loadChatTemplate, readAdapter, writeAdapter } from '../../models/index.ts';
import {
  AbortedError,
  isAbort,
  ModelError,
  makeFolder,
  type Progress,
  type ProgressTask,
  SILENT,
  withFileLock,
} from '../../system/index.ts';
import { loraConfig } from '../generator/generator-step.ts';
import { type MetricsRecord, metricsFile } from '../loop/metrics.ts';
import { hashList } from '../loop/run-identity.ts';
import { agreeOnJob } from '../loop/training-folder.ts';
import type { PythonInstallation } from '../python/python-installation.ts';
import { endLeftOver, lastCheckpoint } from '../python/python-program.ts';
import { OUTPUT_FOLDER } from './trl-arguments.ts';
import { SCRIPT_FILE, trlCommands, writeTrlFiles } from './trl-files.ts';
import { findTrl } from './trl-installation.ts';
import { readTrainerState, type TrainerState } from './trl-log.ts';
import { TrlMetrics } from './trl-metrics.ts';
import { planTrl, type TrlJob, type TrlPlan } from './trl-plan.ts';
import { CACHE_FOLDER, PROCESS_FILE, runTrl } from './trl-process.ts';
import { parseTrlSettings } from './trl-settings.ts';

export interface TrlOptions {
  /** Receives all files of the run. An interrupted run resumes in its folder. */
  folder: string;
  /** Environment in which TRL is searched; default: that of this process. */
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Receives the commands to run on the other machines, in the run's folder, once this machine waits for them. */
  onCommands?: ((commands: readonly string[]) => void) | undefined;
  /** Receives the metrics of each step, rounded to four digits. */
  onStep?: ((record: MetricsRecord) => void) | undefined;
  onEvaluation?: ((record: MetricsRecord) => void) | undefined;
}

export interface TrlResult {
  steps: number;
  /** Folder of the adapter in PEFT's layout, as the local engine writes it. */
  adapter: string;
  /** The step that produced the adapter. */
  step: number;
  /** The best evaluation; undefined if there was none. */
  best: { step: number; metric: string; value: number } | undefined;
  metricsFile: string;
  /** Undefined if the run had already finished. */
  installation: PythonInstallation | undefined;
}

export interface TrlFiles {
  folder: string;
  /** The command to run in that folder on each machine, starting with the first machine. */
  commands: string[];
  /** A shell script that does the same on a machine without this program, resuming from the last checkpoint. */
  script: string;
  plan: TrlPlan;
}

const BASE_FOLDER = 'base';
export const ADAPTER_FOLDER = 'adapter';

/**
 * Trains a LoRA adapter with TRL under accelerate, on the GPUs and machines of the job. This process starts and follows
 * the part of the first machine. The other machines run the commands passed to {@link TrlOptions.onCommands} in a
 * shared folder.
 *
 * An interrupted run resumes from TRL's last checkpoint; a finished run is only read back. TRL draws the adapter's
 * initial values itself, so results equal the local engine's only if that engine starts from the same values.
 * @throws ResourceError if TRL is not installed or fails; UsageError for settings that TRL lacks or a folder of another
 * run; ModelError for a base that TRL cannot train, or a faulty adapter; DivergedError; AbortedError
 */
export async function trainWithTrl(job: TrlJob, options: TrlOptions): Promise<TrlResult> {
  const { folder, signal, progress } = options;
  planTrl(job, '');
  await makeFolder(folder);
  const what = 'trains in the same folder';
  return withFileLock(join(folder, '.lock'), () => train(job, options), { what, signal, progress });
}

/** Writes all files of a run without starting it. @throws as {@link trainWithTrl} */
export async function prepareTrl(
  job: TrlJob,
  { folder, signal, progress }: Pick<TrlOptions, 'folder' | 'signal' | 'progress'>,
): Promise<TrlFiles> {
  planTrl(job, '');
  await makeFolder(folder);
  await agreeOnJob(folder, 'trl', identityOf(job));
  const plan = planTrl(job, await modelFolder(job, { folder, signal, progress }));
  await writeTrlFiles(folder, job, plan);
  return { folder, commands: trlCommands(plan), script: join(folder, SCRIPT_FILE), plan };
}

async function train(job: TrlJob, options: TrlOptions): Promise<TrlResult> {
  const { folder, environment, signal } = options;
  const plan = planTrl(job, '');
  await agreeOnJob(folder, 'trl', identityOf(job));
  await endLeftOver(folder, PROCESS_FILE);
  const found = await newestCheckpoint(folder);
  if (found !== undefined && found.state.step >= plan.steps) {
    return importResult(job, options, found.state, undefined);
  }
  const installation = await findTrl({ deepspeed: plan.engine.zero2, environment, signal });
  const files = await prepareTrl(job, options);
  if (plan.engine.machines > 1) options.onCommands?.(files.commands.slice(1));
  await runAndFollow(files.plan, job.pairs.train.length, installation, found, options);
  const last = await newestCheckpoint(folder);
  if (last === undefined || last.state.step < plan.steps) {
    throw new ModelError(`TRL ended after step ${last?.state.step ?? 0} of ${plan.steps}`, {
      file: join(folder, OUTPUT_FOLDER),
      fix: 'Read trl.log in the same folder, then run the same command again.',
    });
  }
  return importResult(job, options, last.state, installation);
}

async function runAndFollow(
  plan: TrlPlan,
  examples: number,
  installation: PythonInstallation,
  found: FoundCheckpoint | undefined,
  options: TrlOptions,
): Promise<void> {
  const { folder, environment, signal, progress = SILENT } = options;
  const start = found?.state.step ?? 0;
  const metrics = await TrlMetrics.open(folder, plan, examples, start);
  const bar = progress.task(start === 0 ? 'training' : `training from step ${start}`, plan.steps - start, 'steps');
  try {
    const resumeFrom = found && `${OUTPUT_FOLDER}/${found.name}`;
    const onFigures = async (figures: Parameters<TrlMetrics['append']>[0]) =>
      tell(await metrics.append(figures), bar, options);
    await runTrl({ folder, plan, installation, resumeFrom, environment, signal, onFigures });
  } catch (error) {
    if (!isAbort(error)) throw error;
    const saved = (await newestCheckpoint(folder))?.state.step ?? 0;
    throw new AbortedError(
      `stopped after step ${metrics.step} of ${plan.steps}; the last checkpoint is of step ${saved}`,
      {
        file: folder,
      },
    );
  } finally {
    bar.done();
    await metrics.close();
  }
}

function tell(record: MetricsRecord, bar: ProgressTask, { onStep, onEvaluation }: TrlOptions): void {
  if (record.split === 'dev') {
    onEvaluation?.(record);
    return;
  }
  bar.advance();
  bar.note(`loss ${record.values.loss}  lr ${record.values.learningRate}`);
  onStep?.(record);
}

/** Imports a finished run: exact metrics, and the adapter under our own settings. */
async function importResult(
  job: TrlJob,
  { folder }: TrlOptions,
  state: TrainerState,
  installation: PythonInstallation | undefined,
): Promise<TrlResult> {
  const plan = planTrl(job, '');
  const metrics = await TrlMetrics.open(folder, plan, job.pairs.train.length, state.step);
  await metrics.settle(state).finally(() => metrics.close());
  const best = plan.dev === 0 ? undefined : state.best;
  const step = plan.keepsBest && best !== undefined ? best.step : state.step;
  // A checkpoint is known to be complete; the adapter next to the checkpoints may not be.
  const checkpoint = join(folder, OUTPUT_FOLDER, `checkpoint-${step}`);
  const adapter = join(folder, ADAPTER_FOLDER);
  const { tensors } = await readAdapter(checkpoint);
  await writeAdapter(adapter, { config: loraConfig(job.lora, job.base.name), tensors });
  await rm(join(folder, CACHE_FOLDER), { recursive: true, force: true });
  return {
    ...{ steps: state.step, adapter, step, installation },
    best: best && { ...best, metric: plan.settings.metricForBestModel },
    metricsFile: metricsFile(folder),
  };
}

/** Everything that determines the result. */
function identityOf(job: TrlJob): Record<string, unknown> {
  const { settings, engine, loss, lora, method, maxLength, disableDropout, keepsBest } = planTrl(job, '');
  const { mainProcessIp: _address, mainProcessPort: _port, ...computed } = engine;
  const digest = (pairs: TrlJob['pairs']['train']) => ({
    examples: pairs.length,
    hash: hashList(pairs, ({ prompt, chosen, rejected }) => JSON.stringify([prompt, chosen, rejected])),
  });
  return {
    ...{
      engine: 'trl',
      version: 2,
      method,
      base: job.base.fingerprint,
      lora,
      loss,
      maxLength,
      disableDropout,
      settings,
    },
    ...{ keepsBest, computed, train: digest(job.pairs.train), dev: digest(job.pairs.dev) },
  };
}

/** Returns the base as a Transformers folder; a GGUF file is converted into one. @throws ModelError */
async function modelFolder(
  { base, engine }: TrlJob,
  { folder, signal, progress }: Pick<TrlOptions, 'folder' | 'signal' | 'progress'>,
): Promise<string> {
  if ((await stat(base.path)).isDirectory()) {
    await checkFolder(base.path);
    return resolve(base.path);
  }
  const exported = join(folder, BASE_FOLDER);
  const { dtype } = parseTrlSettings(engine);
  if (!(await isFolder(exported))) await exportSafetensors(exported, { base: base.path, dtype, signal, progress });
  await checkFolder(exported);
  return `./${BASE_FOLDER}`;
}

async function checkFolder(path: string): Promise<void> {
  const names = await readdir(path);
  const missing = ['config.json', 'tokenizer_config.json'].filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw new ModelError(`lacks ${missing.join(' and ')}, which TRL reads`, {
      file: path,
      fix: 'Use a complete model folder for Transformers; `llm-qe models export --to safetensors` writes one.',
    });
  }
  if ((await loadChatTemplate(path)) !== undefined) return;
  throw new ModelError('has no chat template', { file: path, fix: 'Use a model that was trained to chat.' });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

interface FoundCheckpoint {
  name: string;
  state: TrainerState;
}

function newestCheckpoint(folder: string): Promise<FoundCheckpoint | undefined> {
  return lastCheckpoint(join(folder, OUTPUT_FOLDER), readTrainerState);
}
