import { deriveSeed, Random } from '../../system/index.ts';

/** The number of optimiser steps in a complete run. */
export function totalSteps(
  examples: number,
  { maxSteps, epochs, batchSize }: { maxSteps?: number | undefined; epochs: number; batchSize: number },
): number {
  return maxSteps ?? Math.ceil(epochs * Math.ceil(examples / batchSize));
}

/** Puts the shuffled examples of an epoch, by their numbers, into another order; a function of its arguments alone. */
export type ArrangeEpoch = (order: Uint32Array, batchSize: number) => Uint32Array;

/** Assigns examples to the steps of a run. The order depends only on the seed, so a run can resume at any step. */
export class BatchPlan {
  readonly #examples: number;
  readonly #batchSize: number;
  readonly #seed: number;
  readonly #arrange: ArrangeEpoch;
  #order: { epoch: number; indices: Uint32Array } | undefined;

  /** @param examples number of examples; each epoch visits each one once, in its own order */
  constructor(
    examples: number,
    { batchSize, seed }: { batchSize: number; seed: number },
    arrange: ArrangeEpoch = (order) => order,
  ) {
    this.#examples = examples;
    this.#arrange = arrange;
    this.#batchSize = batchSize;
    this.#seed = seed;
  }

  /** Steps per epoch; the last batch of an epoch may be smaller than the others. */
  get stepsPerEpoch(): number {
    return Math.ceil(this.#examples / this.#batchSize);
  }

  /** The indices of the examples of a step. @param step counted from 0 */
  batch(step: number): Uint32Array {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (this.#order?.epoch !== epoch) this.#order = { epoch, indices: this.#shuffled(epoch) };
    const start = (step % this.stepsPerEpoch) * this.#batchSize;
    return this.#order.indices.subarray(start, start + this.#batchSize);
  }

  #shuffled(epoch: number): Uint32Array {
    const indices = Array.from({ length: this.#examples }, (_, index) => index);
    const order = Uint32Array.from(new Random(deriveSeed(this.#seed, 'order', epoch)).shuffle(indices));
    return this.#arrange(order, this.#batchSize);
  }
}

/**
 * The examples that a run uses. They are fewer than `examples` if `maxSteps` or a fractional epoch ends the run early.
 * @returns their indices
 */
export function examplesTaken(
  examples: number,
  settings: { maxSteps?: number | undefined; epochs: number; batchSize: number; seed: number },
): Set<number> {
  const plan = new BatchPlan(examples, settings);
  const steps = Math.min(totalSteps(examples, settings), plan.stepsPerEpoch);
  const taken = new Set<number>();
  for (let step = 0; step < steps; step++) for (const index of plan.batch(step)) taken.add(index);
  return taken;
}

export interface MicroBatchLimits {
  /** Maximum number of tokens in a micro-batch; undefined does not split the batch. */
  tokens: number | undefined;
  /** If true, count tokens (packed); otherwise count the longest example times the number of examples (padded). */
  packed: boolean;
}

/**
 * Cuts a batch into micro-batches within a token budget. Sorting by length, longest first, reduces padding and shows at
 * once if the budget is too large for memory. An example longer than the budget forms its own micro-batch.
 * @param tokens length of an example
 */
export function cutMicroBatches<Example>(
  batch: readonly Example[],
  tokens: (example: Example) => number,
  limits: MicroBatchLimits,
): Example[][] {
  const budget = limits.tokens ?? Number.POSITIVE_INFINITY;
  const sized = batch.map((example) => ({ example, length: tokens(example) })).sort((a, b) => b.length - a.length);
  const cuts: Example[][] = [];
  let used = 0;
  for (const { example, length } of sized) {
    const open = cuts.at(-1);
    // The first example of a padded micro-batch is its longest: each further example takes as much room.
    if (open !== undefined && used + (limits.packed ? length : used / open.length) <= budget) {
      used += limits.packed ? length : used / open.length;
      open.push(example);
    } else {
      cuts.push([example]);
      used = length;
    }
  }
  return cuts;
}
