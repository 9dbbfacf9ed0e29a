import { deriveSeed, throwIfAborted } from '../../system/index.ts';
import { cutMicroBatches } from './batches.ts';
import { DivergedError } from './errors.ts';
import { addFigures, type Figures, summedWeight } from './evaluation.ts';
import { clipFactor, findFault, GradientSum, type Gradients, globalNorm, isUsable } from './gradients.ts';
import type { AdamW } from './optimizer.ts';
import { scheduleFactor } from './schedule.ts';
import type { TrainingSettings } from './training-settings.ts';
import type { TrainingTask } from './training-task.ts';

/** The metrics of every step, in addition to the task's own. */
export interface StepFigures extends Figures {
  loss: number;
  learningRate: number;
  /** Before clipping. */
  gradientNorm: number;
  /** Tokens of the batch, without padding. */
  tokens: number;
  tokensPerSecond: number;
  /** Resident memory of the process, in bytes. */
  memory: number;
}

export interface StepOptions {
  settings: TrainingSettings;
  /** Counted from 0. */
  step: number;
  /** Steps of the complete run. */
  steps: number;
  signal?: AbortSignal | undefined;
}

/**
 * Takes one optimiser step over one batch. If it throws, parameters and optimiser are unchanged.
 * @throws DivergedError if the loss or a gradient is not finite; AbortedError
 */
export async function takeStep<Example>(
  task: TrainingTask<Example>,
  optimizer: AdamW,
  batch: readonly Example[],
  options: StepOptions,
): Promise<StepFigures> {
  const { settings, step, steps } = options;
  const started = performance.now();
  const { gradients, figures } = await accumulate(task, batch, options);
  const gradientNorm = globalNorm(gradients);
  const scale = clipFactor(gradientNorm, settings.maxGradNorm);
  if (!isUsable(gradientNorm, scale)) throw gradientFault(gradients, step + 1);
  throwIfAborted(options.signal);
  const schedule = { kind: settings.lrScheduler, warmup: settings.warmupSteps, steps };
  const learningRate = settings.learningRate * scheduleFactor(schedule, step);
  await optimizer.step(gradients, { learningRate, scale });
  task.recycle?.(gradients);
  const tokens = batch.reduce((sum, example) => sum + task.tokens(example), 0);
  const tokensPerSecond = tokens / ((performance.now() - started) / 1000);
  const memory = process.memoryUsage.rss();
  return { ...figures, loss: figures.loss!, learningRate, gradientNorm, tokens, tokensPerSecond, memory };
}

/** Sums gradients and metrics over the micro-batches of a batch. */
async function accumulate<Example>(
  task: TrainingTask<Example>,
  batch: readonly Example[],
  { settings, step, signal }: StepOptions,
): Promise<{ gradients: Gradients; figures: Figures }> {
  const total = summedWeight(task, batch);
  const limits = { tokens: settings.microBatchTokens, packed: settings.packed };
  const cuts = cutMicroBatches(batch, (example) => task.tokens(example), limits);
  const sum = new GradientSum(task.parameters);
  const figures: Figures = { loss: 0 };
  for (const [index, examples] of cuts.entries()) {
    throwIfAborted(signal);
    const seed = deriveSeed(settings.seed, 'micro-batch', step, index);
    const options = { total, batch, seed, ...(signal && { signal }) };
    const { loss, metrics, gradients } = await task.gradients(examples, options);
    if (!Number.isFinite(loss)) throw lossFault(loss, { step: step + 1, index, examples: examples.length });
    addFigures(figures, { ...metrics, loss });
    sum.add(gradients);
    if (index > 0) task.recycle?.(gradients);
  }
  return { gradients: sum.take(), figures };
}

function lossFault(loss: number, at: { step: number; index: number; examples: number }): DivergedError {
  const part = `micro-batch ${at.index + 1} (${at.examples} examples)`;
  return new DivergedError(`step ${at.step}: the loss of ${part} is ${loss}; the state before this step is kept`, {
    step: at.step,
  });
}

function gradientFault(gradients: Gradients, step: number): DivergedError {
  const { name, value, count } = findFault(gradients);
  const what = Number.isFinite(value)
    ? `the largest gradient, ${value.toExponential(1)}, is too large for a step`
    : `${count} of ${gradients.get(name)!.length} gradients are not finite (${value})`;
  return new DivergedError(`step ${step}: ${what}; the state before this step is kept`, {
    id: name,
    step,
    parameter: name,
  });
}
