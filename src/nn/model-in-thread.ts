import { runFault } from './runtime.ts';
import type { Values } from './runtime-messages.ts';
import { Sessions } from './runtime-worker.ts';

/** A compiled model that runs in the caller's thread: for models that run in less time than a worker thread needs to start. */
export class ModelInThread {
  readonly #file: string;
  readonly #sessions: Sessions;

  constructor(file: string) {
    this.#file = file;
    this.#sessions = new Sessions({ files: { [file]: file }, threads: 1, prepack: true, arena: true, device: 'cpu' });
  }

  /** Runs the model once; the first run loads it. @throws ModelError if an operation fails; names it */
  async run(feeds: Values): Promise<Values> {
    try {
      const { value } = await this.#sessions.run({ model: this.#file, feeds });
      return value;
    } catch (error) {
      throw runFault(this.#file, error instanceof Error ? error.message : String(error));
    }
  }

  close(): Promise<void> {
    return this.#sessions.release();
  }
}
