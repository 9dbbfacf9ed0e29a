import type { Progress } from '../../system/index.ts';
import { DataError, throwIfAborted, UsageError } from '../../system/index.ts';
import { cutMicroBatches } from './batches.ts';
import type { TrainingSettings } from './training-settings.ts';
import type { TrainingTask } from './training-task.ts';

/** Metric values by name, including `loss`. */
export type Figures = Record<string, number>;

/**
 * Computes the mean loss and metrics over examples, without randomness. With a token budget, examples of similar length
 * go through the model together; otherwise `batchSize` examples do, in the given order.
 * @throws AbortedError
 */
export async function evaluateTask<Example>(
  task: TrainingTask<Example>,
  examples: readonly Example[],
  settings: Pick<TrainingSettings, 'batchSize' | 'microBatchTokens' | 'packed'>,
  { signal, progress }: { signal?: AbortSignal | undefined; progress: Progress },
): Promise<Figures> {
  const total = summedWeight(task, examples);
  const sums: Figures = { loss: 0 };
  const bar = progress.task('evaluating', examples.length, 'examples');
  try {
    for (const part of parts(task, examples, settings)) {
      throwIfAborted(signal);
      const { loss, metrics } = await task.evaluate(part, { total, batch: examples, ...(signal && { signal }) });
      addFigures(sums, { ...metrics, loss });
      bar.advance(part.length);
    }
  } finally {
    bar.done(`loss ${sums.loss!.toFixed(4)}`);
  }
  return sums;
}

function parts<Example>(
  task: TrainingTask<Example>,
  examples: readonly Example[],
  { batchSize, microBatchTokens, packed }: Pick<TrainingSettings, 'batchSize' | 'microBatchTokens' | 'packed'>,
): Example[][] {
  const cut = (batch: readonly Example[]) =>
    cutMicroBatches(batch, (example) => task.tokens(example), { tokens: microBatchTokens, packed });
  if (microBatchTokens !== undefined) return cut(examples);
  const batches = Array.from({ length: Math.ceil(examples.length / batchSize) }, (_, index) =>
    examples.slice(index * batchSize, (index + 1) * batchSize),
  );
  return batches.flatMap(cut);
}

/** The sum of the weights over which the loss is a mean. @throws DataError if it is not above 0 */
export function summedWeight<Example>(task: TrainingTask<Example>, examples: readonly Example[]): number {
  const total = examples.reduce((sum, example) => sum + task.weigh(example), 0);
  if (total > 0) return total;
  throw new DataError(
    `the ${examples.length} examples of a batch hold nothing to learn from (their total weight is ${total})`,
    {
      fix: 'Remove examples whose completion is empty or was cut off entirely.',
    },
  );
}

/** Adds metric values to running sums, name by name. */
export function addFigures(sums: Figures, more: Readonly<Figures>): void {
  for (const [name, value] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + value;
}

/** The metric that decides which checkpoint is best. @throws UsageError if the task does not report it */
export function figureForBest(figures: Readonly<Figures>, name: string): number {
  const value = figures[name];
  if (value !== undefined) return value;
  throw new UsageError(`metricForBestModel: the evaluation does not report ${JSON.stringify(name)}`, {
    fix: `Use one of: ${Object.keys(figures).join(', ')}.`,
  });
}
