import type { Parameters } from '../../nn/index.ts';

/** The contribution of one micro-batch to its step. */
export interface MicroBatchResult {
  /**
   * Summed over the examples and divided by the `total` of the call, so the micro-batches of a batch add up to its
   * mean.
   */
  loss: number;
  /** Further metrics, summed and divided like the loss, under their names in metrics.jsonl. */
  metrics: Record<string, number>;
  /**
   * Gradients of the loss: one array per parameter, of its size. The trainer owns them from then on and adds further
   * gradients to them, so later calls must not write to them until it gives them back.
   */
  gradients: Map<string, Float32Array>;
}

/**
 * What a trainer trains: parameters, and a way to compute the gradient of a loss with respect to them. The loop, the
 * optimiser, checkpoints and logs know nothing else about a model.
 *
 * An optimiser step takes one batch of examples, cut into micro-batches within a token budget. Their gradients are
 * summed. Dividing by `total`, the summed weight of the complete batch, makes the sum a mean that does not depend on
 * the cuts.
 */
export interface TrainingTask<Example> {
  /**
   * The trainer changes them in place between calls and saves them if the signal stops it. A call that throws must
   * leave them unchanged.
   */
  readonly parameters: Parameters;
  /**
   * The weight of an example in the mean loss: 1 for a pair (DPO), the number of completion tokens for an example
   * (SFT).
   */
  weigh(example: Example): number;
  /** Length in tokens, for budgets and sorting. */
  tokens(example: Example): number;
  /**
   * Computes the loss and gradients of one micro-batch.
   * @param options.total summed weight of the complete batch; every result is divided by it
   * @param options.batch all examples of the batch, for losses with another kind of mean; default: `examples`
   * @param options.seed seed of every random choice in this micro-batch (dropout); depends on run, step and micro-batch
   */
  gradients(
    examples: readonly Example[],
    options: { total: number; batch?: readonly Example[]; seed: number; signal?: AbortSignal },
  ): Promise<MicroBatchResult>;
  /** Computes the loss and metrics of one micro-batch without randomness (dropout off). */
  evaluate(
    examples: readonly Example[],
    options: { total: number; batch?: readonly Example[]; signal?: AbortSignal },
  ): Promise<Omit<MicroBatchResult, 'gradients'>>;
  /** Takes gradients back that the trainer has no more use for, so that later ones need no new memory. */
  recycle?(gradients: ReadonlyMap<string, Float32Array>): void;
  close(): Promise<void>;
}
