import type { Parameters } from '../../nn/index.ts';

/** What one micro-batch adds to the step it is part of. */
export interface MicroBatchResult {
  /** Summed over the examples and divided by the `total` of the call: the micro-batches of a batch add up to its mean. */
  loss: number;
  /** Further figures, summed and divided as the loss is; the names are those of metrics.jsonl. */
  metrics: Record<string, number>;
  /**
   * Of the loss: one array for each parameter, of its size. They are the trainer's from then on (it sums further ones
   * into them), so no later call may write to them.
   */
  gradients: Map<string, Float32Array>;
}

/**
 * What a trainer trains: the parameters, and how to come by the gradient of a loss with respect to them. The loop, the
 * optimiser, checkpoints and logs know nothing else of a model.
 *
 * One optimiser step takes one batch of examples, cut into micro-batches under a budget of tokens. Their gradients are
 * added up; `total`, the summed weight of the whole batch, makes the sum a mean that does not depend on the cuts.
 */
export interface TrainingTask<Example> {
  /**
   * The trainer changes them in place between calls, and saves them when the signal stops it: a call that breaks off
   * leaves them where they were.
   */
  readonly parameters: Parameters;
  /** What the loss is a mean over: 1 for a pair (DPO), the number of its completion tokens for an example (SFT). */
  weigh(example: Example): number;
  /** Length in tokens, for budgets and for sorting by length. */
  tokens(example: Example): number;
  /**
   * Loss and gradients of one micro-batch.
   * @param options.total summed weight of the whole batch; every result is divided by it
   * @param options.batch all examples of that batch, for losses with a mean of another kind; default: these alone
   * @param options.seed of every random choice in this micro-batch (dropout); it depends on run, step and micro-batch
   */
  gradients(
    examples: readonly Example[],
    options: { total: number; batch?: readonly Example[]; seed: number; signal?: AbortSignal },
  ): Promise<MicroBatchResult>;
  /** Loss and metrics of one micro-batch, without any randomness (dropout off). */
  evaluate(
    examples: readonly Example[],
    options: { total: number; batch?: readonly Example[]; signal?: AbortSignal },
  ): Promise<Omit<MicroBatchResult, 'gradients'>>;
  close(): Promise<void>;
}
