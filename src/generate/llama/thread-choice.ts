/** Number of steps in each trial. */
const TRIALS = 4;

/** Number of steps after which the load of the machine may have changed. */
const STEPS_BETWEEN_TRIALS = 128;

/** All threads must be faster than one by this factor: a single thread never waits for others when the machine is busy. */
const WORTH_WAITING = 0.85;

/**
 * Repeatedly measures whether a context writes faster with all its threads or with one. llama.cpp's threads synchronise after every
 * operation: with a small model, or on a busy machine, that costs more than the shared work saves. Only steps that advance each
 * text by one token are compared, because they are alike.
 */
export class ThreadChoice {
  readonly #most: number;
  /** Step times of the current trial in milliseconds, with all threads and with one. */
  #trial: { all: number[]; one: number[] } = { all: [], one: [] };
  #chosen: number | undefined;
  #stepsLeft = 0;

  /** @param threads the maximum number */
  constructor(threads: number) {
    this.#most = threads;
    if (threads <= 1) this.#chosen = threads;
  }

  /** Number of threads for the next step. */
  get threads(): number {
    return this.#chosen ?? (this.#trial.all.length <= this.#trial.one.length ? this.#most : 1);
  }

  /** Records how long a step with {@link threads} took, in milliseconds. */
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
