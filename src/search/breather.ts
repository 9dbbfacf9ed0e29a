import { throwIfAborted } from '../system/index.ts';

/** Lets the event loop run from time to time during a long computation on the main thread, and checks for an abort. */
export class Breather {
  readonly #signal: AbortSignal | undefined;
  readonly #stretch: number;
  #next: number;

  /** @param stretch milliseconds of work between two pauses */
  constructor(signal: AbortSignal | undefined, stretch = 25) {
    this.#signal = signal;
    this.#stretch = stretch;
    this.#next = performance.now() + stretch;
  }

  get due(): boolean {
    return performance.now() >= this.#next;
  }

  /** @throws AbortedError */
  async rest(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    throwIfAborted(this.#signal);
    this.#next = performance.now() + this.#stretch;
  }
}
