import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { readJsonFile, readJsonl, writeJsonl } from '../../files/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { AbortedError, DataError, isAbort, isThere, type Progress, SILENT, writeDurably } from '../../system/index.ts';
import { DivergedError } from '../loop/errors.ts';
import { MetricsLog, type MetricsRecord, metricsFile, metricsRecordSchema } from '../loop/metrics.ts';
import { warmupSteps } from '../loop/schedule.ts';
import { loopSettingsOf } from '../loop/training-settings.ts';
import { type ClusterSettings, MAIN_PORT, RANK } from '../python/cluster-settings.ts';
import type { PythonInstallation } from '../python/python-installation.ts';
import { freePort, lastCheckpoint, pythonEnvironment, runPython } from '../python/python-program.ts';
import type { RetrieverBase } from '../retriever/retriever-base.ts';
import type { RetrieverTrainingSettings } from '../retriever/retriever-settings.ts';
import { MINI_BATCH_TOKENS } from '../retriever/trained-encoder.ts';
import type { StepCounts } from './step-files.ts';

export const OUTPUT_FOLDER = 'output';
export const PROCESS_FILE = '.sentence-transformers-process';
const SCRIPT = 'train_retriever.py';
const SETTINGS_FILE = 'settings.json';
const STARTER = 'train.sh';

/** The files that a run writes for its script, beside `data/`. */
export const ENGINE_FILES = [SCRIPT, SETTINGS_FILE, STARTER];

/** A run whose settings are resolved. */
export interface EnginePlan extends StepCounts {
  settings: RetrieverTrainingSettings;
  cluster: ClusterSettings;
  /** Steps between evaluations. */
  evalSteps: number;
  /** Whether the weights of every evaluation are kept, to choose among them. */
  keeps: boolean;
}

/** The script, which is beside `dist` in the package and beside `src` in a checkout. */
function packagedScript(): string {
  return fileURLToPath(new URL(`../../../engines/${SCRIPT}`, import.meta.url));
}

/**
 * Writes what the script reads beside `data/`: its settings, itself, and a shell script that starts the part of one machine.
 * @param initial what is trained, by name
 */
export async function writeRun(
  folder: string,
  base: RetrieverBase,
  initial: Parameters,
  plan: EnginePlan,
): Promise<void> {
  await copyFile(packagedScript(), join(folder, SCRIPT));
  await writeDurably(join(folder, SETTINGS_FILE), `${JSON.stringify(scriptSettings(base, initial, plan), null, 2)}\n`);
  await writeDurably(join(folder, STARTER), starterOf(plan.cluster));
}

function scriptSettings({ recipe, padId }: RetrieverBase, initial: Parameters, plan: EnginePlan) {
  const { settings, cluster, steps, stepsPerEpoch, evalSteps, keeps } = plan;
  const { method, train, similarity, temperature, infonceWeight, teacherTemperature, matryoshka } = settings;
  const { absoluteMargin, relativeMargin, hiddenDropout, miniBatchSize } = settings;
  const { miniBatchTokens = MINI_BATCH_TOKENS } = settings;
  const { loraR, loraAlpha, loraDropout, loraTargetModules: targets } = settings;
  const { lrScheduler: kind, warmupSteps: warmup } = settings;
  const names = initial.names();
  return {
    encoder: resolve(recipe.model.path),
    ...{ method, train, similarity, normalize: recipe.normalize, temperature, infonceWeight, teacherTemperature },
    ...{ matryoshka, absoluteMargin, relativeMargin, hiddenDropout, miniBatchSize, miniBatchTokens },
    ...{ hidden: recipe.config.hidden_size, padId, evalSteps, keeps, steps, stepsPerEpoch },
    warmupSteps: warmupSteps({ kind, warmup, steps }),
    lora: loraR === undefined ? null : { loraR, loraAlpha: loraAlpha ?? 2 * loraR, loraDropout, targets },
    prefix: names.every((name) => name.startsWith('bert.')) ? 'bert.' : '',
    parameters: names,
    loop: loopSettingsOf(settings),
    engine: { hardware: cluster.hardware, precision: cluster.precision },
  };
}

/** What starts the part of a machine, after `python`. @param port of the first machine */
function launchWords({ processes, machines, mainProcessIp }: ClusterSettings, rank: string, port: string): string[] {
  if (processes * machines === 1) return [SCRIPT, SETTINGS_FILE];
  const place = machines === 1 ? '127.0.0.1' : mainProcessIp!;
  return [
    ...['-m', 'torch.distributed.run', '--nnodes', `${machines}`, '--nproc-per-node', `${processes}`],
    ...['--node-rank', rank, '--master-addr', place, '--master-port', port, SCRIPT, SETTINGS_FILE],
  ];
}

function starterOf(cluster: ClusterSettings): string {
  const words = launchWords(cluster, RANK, `${cluster.mainProcessPort ?? MAIN_PORT}`);
  return `#!/bin/sh
# Trains with sentence-transformers: sh ${STARTER} [INDEX OF THE MACHINE, FROM 0]
# Set PYTHON to another interpreter, and MODEL=FOLDER_OR_NAME if the encoder is not where ${SETTINGS_FILE} says. An interrupted run resumes.
cd "$(dirname "$0")" || exit 1
exec "\${PYTHON:-python3}" ${words.join(' ')}
`;
}

/** The command of each machine, in the folder of the run. */
export function startCommands({ machines }: ClusterSettings): string[] {
  return Array.from({ length: machines }, (_, rank) => `sh ${STARTER}${machines === 1 ? '' : ` ${rank}`}`);
}

export interface FollowOptions {
  folder: string;
  installation: PythonInstallation;
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  onStep?: ((record: MetricsRecord) => void) | undefined;
  onEvaluation?: ((record: MetricsRecord) => void) | undefined;
}

/**
 * Runs the part of this machine, the first one, and follows it in our metrics.
 * @throws ResourceError if it fails; DivergedError if a loss is not a number; AbortedError after the signal
 */
export async function runScript(plan: EnginePlan, options: FollowOptions): Promise<void> {
  const { folder, installation, environment, signal, progress = SILENT, onStep, onEvaluation } = options;
  const { cluster, steps } = plan;
  const start = (await trainedStep(folder)) ?? 0;
  const log = await MetricsLog.open(folder, { step: start, evaluated: start });
  const bar = progress.task(start === 0 ? 'training' : `training from step ${start}`, steps - start, 'steps');
  let step = start;
  try {
    const port = cluster.mainProcessPort ?? (cluster.machines > 1 ? MAIN_PORT : await freePort());
    await runPython({
      ...{ name: 'sentence-transformers', folder, python: installation.python, signal },
      words: launchWords(cluster, '0', `${port}`),
      environment: pythonEnvironment(cluster, environment),
      ...{ logFile: 'sentence-transformers.log', processFile: PROCESS_FILE },
      savesMemory: 'Lower miniBatchSize or miniBatchTokens: they do not change the result.',
      async onLine(line) {
        const record = recordOf(line);
        if (record === undefined) return;
        await log.append(record);
        if (record.split === 'dev') return onEvaluation?.(record);
        step = record.step;
        if (record.values.loss === null) throw diverged(record.step, folder);
        bar.advance();
        bar.note(`loss ${record.values.loss?.toPrecision(4)}`);
        onStep?.(record);
      },
    });
  } catch (error) {
    if (!isAbort(error)) throw error;
    const saved = (await trainedStep(folder)) ?? 0;
    throw new AbortedError(`stopped after step ${step} of ${steps}; the last checkpoint is of step ${saved}`, {
      file: folder,
    });
  } finally {
    bar.done();
    await log.close();
  }
}

function diverged(step: number, folder: string): DivergedError {
  const reason = `step ${step}: the loss is not finite; the last checkpoint is kept`;
  return new DivergedError(reason, { step, file: folder });
}

/** A line of the script's log; undefined for anything else that is printed. */
function recordOf(line: string): MetricsRecord | undefined {
  if (!line.startsWith('{"time":')) return undefined;
  try {
    return metricsRecordSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

const stateSchema = z.object({ global_step: z.number().int().nonnegative() });

/** The step of the last complete checkpoint. */
export async function trainedStep(folder: string): Promise<number | undefined> {
  const found = await lastCheckpoint(join(folder, OUTPUT_FOLDER), (checkpoint) => {
    const file = join(checkpoint, 'trainer_state.json');
    return readJsonFile(
      file,
      stateSchema,
      (cause) => new DataError('is not a trainer state', { file, fix: 'Remove this checkpoint.', cause }),
    );
  });
  return found?.state.global_step;
}

/** The weights that the script saved at a step: those of its checkpoint, or those of an evaluation. */
export function weightsFile(folder: string, step: number): string {
  const kept = join(folder, OUTPUT_FOLDER, 'evaluated', `${step}.safetensors`);
  return existsSync(kept) ? kept : join(folder, OUTPUT_FOLDER, `checkpoint-${step}`, 'trained.safetensors');
}

/**
 * Reads the whole log of a run, also of one that ran elsewhere. A step that was repeated after an interruption counts as it was the
 * last time.
 */
export async function readLog(folder: string): Promise<MetricsRecord[]> {
  const last = new Map<string, MetricsRecord>();
  const file = join(folder, OUTPUT_FOLDER, 'log.jsonl');
  if (await isThere(file)) {
    for await (const { value } of readJsonl(file, metricsRecordSchema)) last.set(`${value.split} ${value.step}`, value);
  }
  return [...last.values()];
}

/** Writes all metrics of a run, by step. */
export async function writeMetrics(folder: string, records: readonly MetricsRecord[]): Promise<void> {
  const ordered = [...records].sort((a, b) => a.step - b.step || b.split.localeCompare(a.split));
  await writeJsonl(metricsFile(folder), ordered);
  const all = Number.POSITIVE_INFINITY;
  await (await MetricsLog.open(folder, { step: all, evaluated: all })).close();
}
