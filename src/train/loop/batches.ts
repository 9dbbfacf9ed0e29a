import { deriveSeed, Random } from '../../system/index.ts';

/** Optimiser steps of a whole run over a number of examples. */
export function totalSteps(
  examples: number,
  { maxSteps, epochs, batchSize }: { maxSteps?: number | undefined; epochs: number; batchSize: number },
): number {
  return maxSteps ?? Math.ceil(epochs * Math.ceil(examples / batchSize));
}

/** Which examples go through which step of a run: a function of the seed alone, so that a run resumes at any step. */
export class BatchPlan {
  readonly #examples: number;
  readonly #batchSize: number;
  readonly #seed: number;
  #order: { epoch: number; indices: Uint32Array } | undefined;

  /** @param examples their number; each epoch holds every one once, in an order of its own */
  constructor(examples: number, { batchSize, seed }: { batchSize: number; seed: number }) {
    this.#examples = examples;
    this.#batchSize = batchSize;
    this.#seed = seed;
  }

  /** Steps of one epoch; the last one's batch may be smaller than the others. */
  get stepsPerEpoch(): number {
    return Math.ceil(this.#examples / this.#batchSize);
  }

  /** The examples of a step, by their numbers. @param step counted from 0 */
  batch(step: number): Uint32Array {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (this.#order?.epoch !== epoch) this.#order = { epoch, indices: this.#shuffled(epoch) };
    const start = (step % this.stepsPerEpoch) * this.#batchSize;
    return this.#order.indices.subarray(start, start + this.#batchSize);
  }

  #shuffled(epoch: number): Uint32Array {
    const indices = Array.from({ length: this.#examples }, (_, index) => index);
    return Uint32Array.from(new Random(deriveSeed(this.#seed, 'order', epoch)).shuffle(indices));
  }
}

/**
 * The examples that any step of a run takes: fewer than there are if `maxSteps` or a share of an epoch ends it before.
 * @returns their numbers
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
  /** Most tokens of a micro-batch; undefined leaves the batch whole. */
  tokens: number | undefined;
  /** Count the tokens themselves (packed), or the longest times the number of examples (padded). */
  packed: boolean;
}

/**
 * Cuts a batch into micro-batches within a budget of tokens. The longest come first, so that those of like length stand
 * together (little is padded) and a budget that is too large for memory shows at once. An example longer than the
 * budget is a micro-batch of its own.
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
    // The first of a padded micro-batch is its longest: each further example takes as much room.
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
