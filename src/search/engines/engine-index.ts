import type { Hits } from '../../measures/index.ts';
import {
  AbortedError,
  ConnectionError,
  DataError,
  NetworkError,
  type Progress,
  SILENT,
  throwIfAborted,
  UsageError,
  withRetries,
} from '../../system/index.ts';
import { type QueryRows, searchByCalls } from '../search-by-calls.ts';
import type { SearchIndex, SearchOptions } from '../search-index.ts';
import type { Engine, EngineRows } from './engine.ts';

/** The documents that an engine is to hold, and how queries become what it compares them with. */
export interface EngineSource<Q, V> {
  /** Number of documents. */
  readonly rows: number;
  /** Returns the document id of a row. */
  id(row: number): string;
  /**
   * Yields the documents that are not there, in ascending order.
   * @param present 1 for a row that is there // [rows]
   * @param bytes size of the vectors to yield together, at most, but for a single larger one
   */
  missing(present: Uint8Array, bytes: number, signal: AbortSignal | undefined): AsyncIterable<EngineRows<V>>;
  queries(queries: Q, options: SearchOptions): QueryRows<V> | Promise<QueryRows<V>>;
}

export interface EngineOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Retries of a call whose connection was lost. Default 5. */
  retries?: number | undefined;
  /** Wait before the first retry; it doubles each time. Default 0.5. */
  firstWaitSeconds?: number | undefined;
  /** Size of the vectors in one call of a bulk load. Default 2 MiB. */
  loadBytes?: number | undefined;
}

/**
 * Search in an engine on a server. Opening it loads what the engine lacks, so an interrupted load resumes: the rows that are there
 * are asked for, and never sent again.
 */
export class EngineIndex<Q, V> implements SearchIndex<Q> {
  readonly #engine: Engine<V>;
  readonly #source: EngineSource<Q, V>;
  readonly #options: EngineOptions;

  private constructor(engine: Engine<V>, source: EngineSource<Q, V>, options: EngineOptions) {
    [this.#engine, this.#source, this.#options] = [engine, source, options];
  }

  /**
   * Opens the table or collection of an engine and loads the documents that it lacks. The engine is closed if that fails.
   * @throws DataError if it holds other documents; NetworkError if the server cannot be reached or refuses; AbortedError
   */
  static async open<Q, V>(
    engine: Engine<V>,
    source: EngineSource<Q, V>,
    options: EngineOptions,
  ): Promise<EngineIndex<Q, V>> {
    const index = new EngineIndex(engine, source, options);
    try {
      await index.#load();
      return index;
    } catch (error) {
      await engine.close().catch(() => {});
      throw error;
    }
  }

  get size(): number {
    return this.#source.rows;
  }

  get facts(): Record<string, string | number | boolean> {
    return { ...this.#engine.facts };
  }

  async search(queries: Q, k: number, options: SearchOptions = {}): Promise<Hits> {
    const { queriesPerCall } = this.#engine;
    const call = (block: V, wanted: number) => {
      this.#refuseDeep(wanted);
      return this.#call(() => this.#engine.search(block, wanted), 'searched', options.signal);
    };
    const rows = await this.#source.queries(queries, options);
    return searchByCalls({ source: this.#source, queriesPerCall, call }, rows, k, options);
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  #refuseDeep(wanted: number): void {
    const { mostHits, name } = this.#engine;
    if (wanted <= mostHits) return;
    throw new UsageError(`${name} gives at most ${mostHits} documents a query here, and ${wanted} were asked for`, {
      fix: `Pass --depth ${mostHits - 1} or less, or search exactly.`,
    });
  }

  async #load(): Promise<void> {
    const { signal, progress = SILENT, loadBytes = 2 * 2 ** 20 } = this.#options;
    const { rows } = this.#source;
    const held = await this.#call(() => this.#engine.open(), 'opened', signal);
    if (held < rows) {
      const task = progress.task(`loading ${this.#engine.place} of ${this.#engine.name}`, rows, 'documents');
      try {
        const present = held === 0 ? new Uint8Array(rows) : await this.#presentRows(signal);
        task.skip(present.reduce((sum, one) => sum + one, 0));
        for await (const batch of this.#source.missing(present, loadBytes, signal)) {
          throwIfAborted(signal);
          await this.#call(() => this.#engine.load(batch), 'loaded', signal);
          task.advance(batch.rows.length);
        }
      } finally {
        task.done();
      }
    }
    const loaded = await this.#call(() => this.#engine.count(), 'counted', signal);
    if (loaded !== rows) {
      throw new DataError(`${this.#engine.place} holds ${loaded} documents instead of ${rows}`, {
        fix: 'Another program changes it: name another one, or drop it and run the same command again.',
      });
    }
    await this.#call(() => this.#engine.finish(), 'finished', signal);
  }

  /** Asks page by page which rows are there // [rows], 1 for a row that is */
  async #presentRows(signal: AbortSignal | undefined): Promise<Uint8Array> {
    const present = new Uint8Array(this.#source.rows);
    const { rowsPerAnswer } = this.#engine;
    for (let from = 0; from < present.length; from += rowsPerAnswer) {
      const to = Math.min(present.length, from + rowsPerAnswer);
      const page = await this.#call(() => this.#engine.heldBetween(from, to), 'read', signal);
      for (const row of page) present[row] = 1;
    }
    return present;
  }

  /** Calls the engine, and again with growing waits if the connection was lost. */
  async #call<T>(work: () => Promise<T>, done: string, signal: AbortSignal | undefined): Promise<T> {
    const { retries, firstWaitSeconds = 0.5 } = this.#options;
    try {
      return await withRetries(() => untilAborted(work, signal), { retries, firstWaitSeconds, signal });
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      throw new NetworkError(`${this.#engine.place} could not be ${done}: ${error.message}`, {
        fix: 'Check that the server runs, then run the same command again: what was loaded is kept, and not loaded twice.',
        cause: error,
      });
    }
  }
}

/** An abort rejects at once, even while the server computes. */
async function untilAborted<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfAborted(signal);
  const working = work();
  working.catch(() => {});
  let stop = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(new AbortedError());
  });
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([working, aborted]);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
