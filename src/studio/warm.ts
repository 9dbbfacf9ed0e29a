import { forgetFailure } from '../system/index.ts';

/** Something that is slow to open: opened when it is first needed, then shared by all who ask for it. */
export class Warm<T extends { close(): unknown }> {
  readonly #make: () => Promise<T>;
  #opening: Promise<T> | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  get isOpen(): boolean {
    return this.#opening !== undefined;
  }

  /** After a failure, the next call tries again. */
  open(): Promise<T> {
    this.#opening ??= forgetFailure(this.#make(), () => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Waits for an opening in progress, and closes what it opened. */
  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined);
    this.#opening = undefined;
    await opened?.close();
  }
}
