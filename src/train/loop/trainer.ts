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
import { type ArrangeEpoch, BatchPlan, totalSteps } from './batches.ts';
import type { TrainingState } from './checkpoint.ts';
import { evaluateTask, type Figures, figureForBest } from './evaluation.ts';
import { MetricsLog, type MetricsRecord, metricsFile } from './metrics.ts';
import { AdamW } from './optimizer.ts';
import { runIdentity } from './run-identity.ts';
import { type StepFigures, takeStep } from './step.ts';
import { type SavedCheckpoint, TrainingFolder } from './training-folder.ts';
import { parseTrainingSettings, type TrainingSettings, type TrainingSettingsInput } from './training-settings.ts';
import type { TrainingTask } from './training-task.ts';

/** The examples of a run: plain data (strings, numbers, lists, typed arrays), because their content is hashed. */
export interface TrainingExamples<Example> {
  train: readonly Example[];
  /** Held-out examples; if there are none, there are no evaluations. */
  dev: readonly Example[];
}

export interface TrainOptions {
  /** Receives checkpoints, metrics.jsonl and the TensorBoard file. An interrupted run resumes in its folder. */
  folder: string;
  /**
   * What determines the result in addition to settings, examples and initial values: model, adapter, loss. Plain JSON.
   */
  identity?: unknown;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Puts the examples of an epoch into another order, to choose what shares a batch; named in `identity` by the caller. */
  arrange?: ArrangeEpoch | undefined;
  /** Further figures of every evaluation, by the parameters as they stand then. */
  evaluate?: ((signal?: AbortSignal) => Promise<Figures>) | undefined;
  /** Receives the metrics of each step. */
  onStep?: ((record: MetricsRecord) => void) | undefined;
  /** Receives the metrics of each evaluation. */
  onEvaluation?: ((record: MetricsRecord) => void) | undefined;
}

export interface TrainingResult {
  /** Total number of optimiser steps. */
  steps: number;
  /** `finished`: all steps were taken. `patience`: too many evaluations in a row brought no new best. */
  stopped: 'finished' | 'patience';
  last: SavedCheckpoint;
  /** The checkpoint of the best evaluation; undefined without evaluations. */
  best: (SavedCheckpoint & { metric: string; value: number }) | undefined;
  metricsFile: string;
}

/**
 * Trains the parameters of a task with AdamW. Afterwards they hold the values of the last step ({@link loadParameters}
 * restores the best ones). An interrupted run resumes from its last checkpoint and ends with the same bytes as an
 * uninterrupted run. A finished run is only read back.
 *
 * @throws UsageError if settings are invalid or the folder belongs to another run; DataError if examples have no
 * weight; DivergedError if the loss or gradients are not finite; AbortedError after the signal, with a checkpoint of
 * the last completed step saved; ResourceError
 */
export async function train<Example>(
  task: TrainingTask<Example>,
  examples: TrainingExamples<Example>,
  given: TrainingSettingsInput,
  options: TrainOptions,
): Promise<TrainingResult> {
  const settings = parseTrainingSettings(given);
  if (examples.train.length === 0) {
    throw new UsageError('there are no examples to train on', {
      fix: 'Check the file of examples and the filters applied to it.',
    });
  }
  if (settings.metricForBestModel !== 'loss' && !evaluates(examples, options)) {
    throw new UsageError('metricForBestModel: there are no dev examples to evaluate on', {
      fix: 'Pass dev examples, or omit metricForBestModel.',
    });
  }
  if (settings.earlyStoppingPatience !== undefined && !evaluates(examples, options)) {
    throw new UsageError('earlyStoppingPatience: there are no dev examples to evaluate on', {
      fix: 'Pass dev examples, or omit earlyStoppingPatience.',
    });
  }
  const { folder, signal, progress } = options;
  await makeFolder(folder);
  const work = () => run(task, examples, settings, options);
  return withFileLock(join(folder, '.lock'), work, { what: 'trains in the same folder', signal, progress });
}

function evaluates({ dev }: TrainingExamples<unknown>, { evaluate }: TrainOptions): boolean {
  return dev.length > 0 || evaluate !== undefined;
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
  if (state.evaluated === 0 && options.evaluate === undefined) await checkMetric(task, examples.dev, settings);
  const log = await MetricsLog.open(options.folder, state);
  try {
    return await new TrainingRun({ task, examples, settings, options, folder, optimizer, log, state }).run();
  } finally {
    await log.close();
  }
}

/** Finds a misspelt metric before training, not at the first evaluation. @throws UsageError */
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

/** The part of a run that one process does: from the state it finds to the end, or to an interruption. */
class TrainingRun<Example> {
  readonly #parts: RunParts<Example>;
  readonly #plan: BatchPlan;
  /** Steps of the complete run. */
  readonly #steps: number;
  readonly #evalSteps: number;
  /** The state after the last completed step, which a checkpoint saves. */
  #state: TrainingState;
  /** The step of the newest checkpoint. */
  #saved: number;

  constructor(parts: RunParts<Example>) {
    const { settings, examples, state, folder } = parts;
    this.#parts = parts;
    this.#plan = new BatchPlan(examples.train.length, settings, parts.options.arrange);
    this.#steps = totalSteps(examples.train.length, settings);
    this.#evalSteps = settings.evalSteps ?? this.#plan.stepsPerEpoch;
    this.#state = state;
    this.#saved = folder.last?.step ?? -1;
  }

  async run(): Promise<TrainingResult> {
    const { progress = SILENT } = this.#parts.options;
    const { step } = this.#state;
    const bar = progress.task(step === 0 ? 'training' : `training from step ${step}`, this.#steps - step, 'steps');
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

  /** Takes one optimiser step. The state is replaced at once afterwards, so it always matches the parameters. */
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

  /**
   * Does what is due after a step: an evaluation, the decision to stop, a checkpoint. Work that was done before is not
   * repeated.
   */
  async #closeStep(): Promise<void> {
    const { settings, examples, options } = this.#parts;
    const { step, evaluated, stopped } = this.#state;
    if (step === 0 || stopped !== null) return;
    const isLast = step >= this.#steps;
    const isDue = isLast || step % this.#evalSteps === 0;
    const before = this.#state.best?.step;
    if (isDue && evaluated < step && evaluates(examples, options)) await this.#evaluate();
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
    const figures: Figures =
      examples.dev.length === 0 ? {} : await evaluateTask(task, examples.dev, settings, { signal, progress });
    Object.assign(figures, await options.evaluate?.(signal));
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

  /** Saves the last completed step when the run is interrupted. Returns the error to throw. */
  async #keepState(error: unknown): Promise<unknown> {
    const isUnsaved = this.#state.step > 0 && this.#saved !== this.#state.step;
    // After a fault the parameters may be out of reach (in a worker that died): report the fault.
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

/** The metrics on the progress line: loss, learning rate, tokens per second, memory. */
function describeStep({ values }: MetricsRecord): string {
  const { loss, learningRate, tokensPerSecond, memory } = values as StepFigures;
  return [
    `loss ${loss.toPrecision(4)}`,
    `lr ${learningRate.toExponential(1)}`,
    `${Math.round(tokensPerSecond).toLocaleString('en-US')} tokens/s`,
    `${(memory / 1e9).toFixed(1)} GB`,
  ].join('  ');
}
