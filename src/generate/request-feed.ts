import { setImmediate } from 'node:timers/promises';
import type { GenerationRequest } from './generator.ts';

/**
 * Requests, pulled one at a time and only when a consumer has room for one. Several consumers share a feed. A slow source never
 * blocks a consumer that has other work.
 */
export class RequestFeed {
  readonly #iterator: Iterator<GenerationRequest> | AsyncIterator<GenerationRequest>;
  #waiting: GenerationRequest[] = [];
  #pull: Promise<void> | undefined;
  #ended = false;

  constructor(requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>) {
    this.#iterator = Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
  }

  /** Whether the source has ended. */
  get ended(): boolean {
    return this.#ended && this.#waiting.length === 0;
  }

  /** Returns the next request; undefined if there is none or, unless `patient`, none at this moment. */
  async take(patient: boolean): Promise<GenerationRequest | undefined> {
    while (this.#waiting.length === 0 && !this.#ended) {
      this.#pull ??= this.#pullOne();
      if (patient) await this.#pull;
      else if ((await Promise.race([this.#pull, setImmediate('later')])) === 'later') return undefined;
    }
    return this.#waiting.shift();
  }

  /** Tells the source that no more requests are needed. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#waiting = [];
    await this.#iterator.return?.();
  }

  async #pullOne(): Promise<void> {
    try {
      const { value, done } = await this.#iterator.next();
      if (done) this.#ended = true;
      else if (!this.#ended) this.#waiting.push(value);
    } finally {
      this.#pull = undefined;
    }
  }
}
