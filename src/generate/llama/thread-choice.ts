/** Steps that each number of threads is tried for. */
const TRIALS = 4;

/** Steps after which the machine may have become another: busier, or free. */
const STEPS_BETWEEN_TRIALS = 128;

/** All threads must be faster than one by this factor: one alone waits for nobody when the machine has other work. */
const WORTH_WAITING = 0.85;

/**
 * Finds out, again and again, whether a context writes faster with all its threads or with one. llama.cpp's threads
 * meet after every operation: with a small model, or on a busy machine, the meetings cost more than the work that is
 * shared. Only steps that take each text one token further are compared, since they are alike.
 */
export class ThreadChoice {
  readonly #most: number;
  /** Times of the trial under way, in milliseconds: with all threads, and with one. */
  #trial: { all: number[]; one: number[] } = { all: [], one: [] };
  #chosen: number | undefined;
  #stepsLeft = 0;

  /** @param threads the most there may be */
  constructor(threads: number) {
    this.#most = threads;
    if (threads <= 1) this.#chosen = threads;
  }

  /** Threads for the next step. */
  get threads(): number {
    return this.#chosen ?? (this.#trial.all.length <= this.#trial.one.length ? this.#most : 1);
  }

  /** Tells how long a step with {@link threads} took, in milliseconds. */
  record(milliseconds: number): void {
    if (this.#most <= 1) return;
    if (this.#chosen !== undefined) {
      if (--this.#stepsLeft <= 0) this.#chosen = undefined;
      return;
    }
    const { all, one } = this.#trial;
    (this.threads === 1 ? one : all).push(milliseconds);
    if (one.length < TRIALS) return;
    this.#chosen = middle(all) < WORTH_WAITING * middle(one) ? this.#most : 1;
    this.#stepsLeft = STEPS_BETWEEN_TRIALS;
    this.#trial = { all: [], one: [] };
  }
}

function middle(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
}
