import { AbortedError, ResourceError, WorkerThread } from '../../system/index.ts';
import type { Bm25Request, Bm25WorkerData, RankedLists } from './bm25-protocol.ts';
import type { Postings } from './bm25-scorer.ts';

/** One thread that scores queries. */
export class Bm25Thread {
  readonly #thread: WorkerThread<Bm25Request, RankedLists>;

  /** @param postings in shared memory */
  constructor(postings: Postings) {
    const data: Bm25WorkerData = { postings };
    this.#thread = new WorkerThread(import.meta.url, './bm25-worker.ts', { data, fault: threadFault, killable: true });
  }

  rank(request: Bm25Request): Promise<RankedLists> {
    return this.#thread.call(request);
  }

  /** Ends the thread at once and waits for its end. Open requests are rejected. */
  close(): Promise<void> {
    return this.#thread.close(new AbortedError());
  }
}

function threadFault(cause: Error | undefined): ResourceError {
  return new ResourceError(`a search thread ended${cause === undefined ? '' : `: ${cause.message}`}`, {
    fix: 'Search with one thread or fewer queries at a time; if memory is short, free some.',
    cause,
  });
}
