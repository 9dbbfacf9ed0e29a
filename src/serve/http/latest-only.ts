/**
 * Sends values one after another. While one is on its way, only the newest waits: a reader that is slow gets fewer of them, and none piles up.
 */
export class LatestOnly<T> {
  readonly #send: (value: T) => Promise<void>;
  #next: { value: T } | undefined;
  #sending: Promise<void> | undefined;

  /** @param send must not reject */
  constructor(send: (value: T) => Promise<void>) {
    this.#send = send;
  }

  push(value: T): void {
    this.#next = { value };
    this.#sending ??= this.#work();
  }

  /** Waits until all is sent. */
  async end(): Promise<void> {
    await this.#sending;
  }

  async #work(): Promise<void> {
    for (let next = this.#next; next !== undefined; next = this.#next) {
      this.#next = undefined;
      await this.#send(next.value);
    }
    this.#sending = undefined;
  }
}
