import { Worker } from 'node:worker_threads';
import { AbortedError, ResourceError, workerFile } from '../system/index.ts';
import type { Bm25Request, Bm25WorkerData, RankedLists } from './bm25-protocol.ts';
import type { Postings } from './bm25-scorer.ts';

interface Call {
  resolve(lists: RankedLists): void;
  reject(error: unknown): void;
}

/** One thread that scores queries. Requests are answered in order; while any is open, the thread keeps the process alive. */
export class Bm25Thread {
  readonly #worker: Worker;
  readonly #calls: Call[] = [];
  #ended: unknown;

  /** @param postings in shared memory */
  constructor(postings: Postings) {
    const data: Bm25WorkerData = { postings };
    this.#worker = new Worker(workerFile(import.meta.url, './bm25-worker.ts'), { workerData: data });
    this.#worker.on('message', (lists: RankedLists) => this.#settle(lists));
    this.#worker.on('error', (error) => this.#fail(threadFault(error)));
    this.#worker.on('exit', () => this.#fail(threadFault(undefined)));
    this.#worker.unref();
  }

  rank(request: Bm25Request): Promise<RankedLists> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      this.#calls.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(request);
    });
  }

  /** Ends the thread at once and waits for it; open requests are rejected. */
  async close(): Promise<void> {
    this.#fail(new AbortedError());
    await this.#worker.terminate();
  }

  #settle(lists: RankedLists): void {
    const call = this.#calls.shift();
    if (this.#calls.length === 0) this.#worker.unref();
    call?.resolve(lists);
  }

  #fail(error: unknown): void {
    this.#ended ??= error;
    for (const call of this.#calls.splice(0)) call.reject(this.#ended);
  }
}

function threadFault(error: Error | undefined): ResourceError {
  return new ResourceError(`a search thread ended${error === undefined ? '' : `: ${error.message}`}`, {
    mend: 'Search with one thread or fewer queries at a time; if memory is short, free some.',
    cause: error,
  });
}
