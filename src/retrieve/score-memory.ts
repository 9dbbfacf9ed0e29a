import { forgetFailure } from '../system/index.ts';

/** What holds typed arrays of a known size. */
interface Sized {
  bytes: number;
}

/** Remembers what is slow to make, up to a number of bytes; the least recently used is forgotten first. */
export class ScoreMemory<T extends Sized> {
  readonly #limit: number;
  readonly #known = new Map<string, Promise<T>>();
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  /** @param limit in bytes; one thing that is larger is still remembered, alone */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns what is remembered under a key, or is being made for another caller. */
  get(key: string): Promise<T> | undefined {
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    this.#known.delete(key);
    this.#known.set(key, known);
    return known;
  }

  /** A failure is not remembered. */
  keep(key: string, making: Promise<T>): Promise<T> {
    this.#known.set(key, making);
    making.then(
      ({ bytes }) => this.#count(key, bytes),
      () => {},
    );
    return forgetFailure(making, () => this.#known.delete(key));
  }

  #count(key: string, bytes: number): void {
    if (!this.#known.has(key)) return;
    this.#bytes += bytes - (this.#sizes.get(key) ?? 0);
    this.#sizes.set(key, bytes);
    for (const oldest of this.#known.keys()) {
      if (this.#bytes <= this.#limit || this.#known.size === 1) return;
      this.#known.delete(oldest);
      this.#bytes -= this.#sizes.get(oldest) ?? 0;
      this.#sizes.delete(oldest);
    }
  }
}
