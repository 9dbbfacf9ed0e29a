import { join } from 'node:path';
import {
  AbortedError,
  isAbort,
  makeFolder,
  type Progress,
  SILENT,
  throwIfAborted,
  UsageError,
  withFileLock,
} from '../../system/index.ts';
import { BatchPlan, totalSteps } from './batches.ts';
import type { TrainingState } from './checkpoint.ts';
import { evaluateTask, type Figures, figureForBest } from './evaluation.ts';
import { MetricsLog, type MetricsRecord, metricsFile } from './metrics.ts';
import { AdamW } from './optimizer.ts';
import { runIdentity } from './run-identity.ts';
import { type StepFigures, takeStep } from './step.ts';
import { type SavedCheckpoint, TrainingFolder } from './training-folder.ts';
import { parseTrainingSettings, type TrainingSettings, type TrainingSettingsInput } from './training-settings.ts';
import type { TrainingTask } from './training-task.ts';

/** The examples of a run: plain data (texts, numbers, lists, typed arrays), since their content is hashed. */
export interface TrainingExamples<Example> {
  train: readonly Example[];
  /** Held out; may be empty, and then there are no evaluations. */
  dev: readonly Example[];
}

export interface TrainOptions {
  /** Takes checkpoints, metrics.jsonl and the TensorBoard file. A run that was cut off goes on in its folder. */
  folder: string;
  /** What decides the outcome beside settings, examples and first values: model, adapter, loss. Plain JSON. */
  identity?: unknown;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Told each step's figures. */
  onStep?: ((record: MetricsRecord) => void) | undefined;
  /** Told each evaluation's figures. */
  onEvaluation?: ((record: MetricsRecord) => void) | undefined;
}

export interface TrainingResult {
  /** Optimiser steps taken in all. */
  steps: number;
  /** `finished`: all steps were taken; `patience`: evaluations brought no new best for too long. */
  stopped: 'finished' | 'patience';
  last: SavedCheckpoint;
  /** The checkpoint of the best evaluation; undefined without evaluations. */
  best: (SavedCheckpoint & { metric: string; value: number }) | undefined;
  metricsFile: string;
}

/**
 * Trains the parameters of a task with AdamW, and leaves in them the values of the last step ({@link loadParameters}
 * brings back the best ones). A run that was cut off, by whatever, goes on behind its last checkpoint and ends with the
 * same bytes as one that was not; a finished one is only read back.
 *
 * @throws UsageError for settings that cannot be, or a folder of another run; DataError for examples without weight;
 * DivergedError where loss or gradients are not finite; AbortedError behind the signal, a checkpoint of the last whole
 * step saved; ResourceError
 */
export async function train<Example>(
  task: TrainingTask<Example>,
  examples: TrainingExamples<Example>,
  given: TrainingSettingsInput,
  options: TrainOptions,
): Promise<TrainingResult> {
  const settings = parseTrainingSettings(given);
  if (examples.train.length === 0) {
    throw new UsageError('there are no examples to train on', { fix: 'Check the file of examples and its filters.' });
  }
  if (settings.earlyStoppingPatience !== undefined && examples.dev.length === 0) {
    throw new UsageError('earlyStoppingPatience: there are no dev examples to evaluate on', {
      fix: 'Give some, or leave it out.',
    });
  }
  const { folder, signal, progress } = options;
  await makeFolder(folder);
  const work = () => run(task, examples, settings, options);
  return withFileLock(join(folder, '.lock'), work, { what: 'trains in the same folder', signal, progress });
}

async function run<Example>(
  task: TrainingTask<Example>,
  examples: TrainingExamples<Example>,
  settings: TrainingSettings,
  options: TrainOptions,
): Promise<TrainingResult> {
  const identity = runIdentity(options.identity ?? null, task.parameters, examples, settings);
  const folder = await TrainingFolder.open(options.folder, identity);
  const optimizer = new AdamW(task.parameters, settings);
  const state = (await folder.resume({ parameters: task.parameters, optimizer })) ?? freshState(settings);
  if (state.evaluated === 0) await checkMetric(task, examples.dev, settings);
  const log = await MetricsLog.open(options.folder, state);
  try {
    return await new TrainingRun({ task, examples, settings, options, folder, optimizer, log, state }).run();
  } finally {
    await log.close();
  }
}

/** A misspelt metric is found before training, not at the first evaluation. @throws UsageError */
async function checkMetric<Example>(
  task: TrainingTask<Example>,
  dev: readonly Example[],
  settings: TrainingSettings,
): Promise<void> {
  const example = dev.find((one) => task.weigh(one) > 0);
  if (settings.metricForBestModel === 'loss' || example === undefined) return;
  figureForBest(await evaluateTask(task, [example], settings, { progress: SILENT }), settings.metricForBestModel);
}

function freshState({ seed }: TrainingSettings): TrainingState {
  return {
    ...{ version: 1, step: 0, epoch: 0, batch: 0, seed, tokens: 0 },
    ...{ best: null, stale: 0, evaluated: 0, stopped: null },
  };
}

interface RunParts<Example> {
  task: TrainingTask<Example>;
  examples: TrainingExamples<Example>;
  settings: TrainingSettings;
  options: TrainOptions;
  folder: TrainingFolder;
  optimizer: AdamW;
  log: MetricsLog;
  state: TrainingState;
}

/** One process's share of a run: from the state it finds to the end, or to where it is stopped. */
class TrainingRun<Example> {
  readonly #parts: RunParts<Example>;
  readonly #plan: BatchPlan;
  /** Steps of the whole run. */
  readonly #steps: number;
  readonly #evalSteps: number;
  /** Behind the last whole step; it is what a checkpoint saves. */
  #state: TrainingState;
  /** The step of the newest checkpoint. */
  #saved: number;

  constructor(parts: RunParts<Example>) {
    const { settings, examples, state, folder } = parts;
    this.#parts = parts;
    this.#plan = new BatchPlan(examples.train.length, settings);
    this.#steps = totalSteps(examples.train.length, settings);
    this.#evalSteps = settings.evalSteps ?? this.#plan.stepsPerEpoch;
    this.#state = state;
    this.#saved = folder.last?.step ?? -1;
  }

  async run(): Promise<TrainingResult> {
    const { progress = SILENT } = this.#parts.options;
    const { step } = this.#state;
    const bar = progress.task(step === 0 ? 'training' : `training on from step ${step}`, this.#steps - step, 'steps');
    try {
      await this.#closeStep();
      while (this.#state.stopped === null) {
        const record = await this.#step();
        bar.advance();
        bar.note(describeStep(record));
        await this.#closeStep();
      }
      return this.#result(this.#state.stopped);
    } catch (error) {
      throw await this.#keepState(error);
    } finally {
      bar.done();
    }
  }

  /** One optimiser step. The state moves on in one go behind it, so that it always belongs to the parameters. */
  async #step(): Promise<MetricsRecord> {
    const { task, examples, settings, options, optimizer, log } = this.#parts;
    const { step } = this.#state;
    throwIfAborted(options.signal);
    const batch = Array.from(this.#plan.batch(step), (index) => examples.train[index]!);
    const figures = await takeStep(task, optimizer, batch, {
      settings,
      step,
      steps: this.#steps,
      signal: options.signal,
    });
    const next = step + 1;
    this.#state = {
      ...this.#state,
      step: next,
      epoch: Math.floor(next / this.#plan.stepsPerEpoch),
      batch: next % this.#plan.stepsPerEpoch,
      tokens: this.#state.tokens + figures.tokens!,
    };
    const record = this.#record('train', figures);
    await log.append(record);
    options.onStep?.(record);
    return record;
  }

  /** What is due behind a step: evaluation, the decision to stop, a checkpoint. Nothing is due that was done before. */
  async #closeStep(): Promise<void> {
    const { settings, examples } = this.#parts;
    const { step, evaluated, stopped } = this.#state;
    if (step === 0 || stopped !== null) return;
    const isLast = step >= this.#steps;
    const isDue = isLast || step % this.#evalSteps === 0;
    const before = this.#state.best?.step;
    if (isDue && evaluated < step && examples.dev.length > 0) await this.#evaluate();
    if (settings.earlyStoppingPatience !== undefined && this.#state.stale >= settings.earlyStoppingPatience)
      this.#stop('patience');
    else if (isLast) this.#stop('finished');
    const isBest = this.#state.best?.step !== before;
    if (isBest || this.#state.stopped !== null || step % settings.saveSteps === 0) await this.#save();
  }

  #stop(reason: 'finished' | 'patience'): void {
    this.#state = { ...this.#state, stopped: reason };
  }

  async #evaluate(): Promise<void> {
    const { task, examples, settings, options, log } = this.#parts;
    const { signal, progress = SILENT } = options;
    const figures = await evaluateTask(task, examples.dev, settings, { signal, progress });
    const value = figureForBest(figures, settings.metricForBestModel);
    const record = this.#record('dev', figures);
    await log.append(record);
    const { step, best, stale } = this.#state;
    const isBetter = best === null ? !Number.isNaN(value) : isBetterThan(value, best.value, settings.greaterIsBetter);
    this.#state = {
      ...this.#state,
      evaluated: step,
      best: isBetter ? { step, value } : best,
      stale: isBetter ? 0 : stale + 1,
    };
    options.onEvaluation?.(record);
  }

  #record(split: 'train' | 'dev', figures: Figures): MetricsRecord {
    const { step } = this.#state;
    const values = Object.entries(figures).map(([name, value]) => [name, Number.isFinite(value) ? value : null]);
    const epoch = step / this.#plan.stepsPerEpoch;
    return { time: Date.now(), step, epoch, split, values: Object.fromEntries(values) };
  }

  async #save(): Promise<void> {
    const { task, folder, optimizer } = this.#parts;
    await folder.save({ parameters: task.parameters, optimizer, state: this.#state });
    this.#saved = this.#state.step;
  }

  /** Saves the last whole step when the run breaks off, and says where it stands. */
  async #keepState(error: unknown): Promise<unknown> {
    const isUnsaved = this.#state.step > 0 && this.#saved !== this.#state.step;
    // Behind a fault the parameters may be out of reach (in a worker that died): the fault is what to report.
    if (!isAbort(error)) {
      if (isUnsaved) await this.#save().catch(() => {});
      return error;
    }
    if (isUnsaved) await this.#save();
    return new AbortedError(`stopped after step ${this.#state.step} of ${this.#steps}`, {
      file: this.#parts.folder.path,
    });
  }

  #result(stopped: 'finished' | 'patience'): TrainingResult {
    const { folder, settings, options } = this.#parts;
    const { best, step } = this.#state;
    return {
      steps: step,
      stopped,
      last: folder.last!,
      best: best === null ? undefined : { ...folder.best!, metric: settings.metricForBestModel, value: best.value },
      metricsFile: metricsFile(options.folder),
    };
  }
}

function isBetterThan(value: number, best: number, greaterIsBetter: boolean): boolean {
  return greaterIsBetter ? value > best : value < best;
}

/** The figures of the live line: loss, learning rate, tokens a second, memory. */
function describeStep({ values }: MetricsRecord): string {
  const { loss, learningRate, tokensPerSecond, memory } = values as StepFigures;
  return [
    `loss ${loss.toPrecision(4)}`,
    `lr ${learningRate.toExponential(1)}`,
    `${Math.round(tokensPerSecond).toLocaleString('en-US')} tokens/s`,
    `${(memory / 1e9).toFixed(1)} GB`,
  ].join('  ');
}
