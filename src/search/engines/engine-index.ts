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
import { brokenVector } from '../dense/check-queries.ts';
import { unitRows } from '../dense/unit-rows.ts';
import type { VectorSource } from '../dense/vector-source.ts';
import { searchByCalls } from '../search-by-calls.ts';
import type { SearchIndex, SearchOptions } from '../search-index.ts';
import type { EngineRows, VectorEngine } from './vector-engine.ts';

export interface EngineOptions {
  similarity: 'dot' | 'cosine';
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
export class EngineIndex implements SearchIndex<Float32Array> {
  readonly #engine: VectorEngine;
  readonly #source: VectorSource;
  readonly #options: EngineOptions;

  private constructor(engine: VectorEngine, source: VectorSource, options: EngineOptions) {
    [this.#engine, this.#source, this.#options] = [engine, source, options];
  }

  /**
   * Opens the table or collection of an engine and loads the documents that it lacks. The engine is closed if that fails.
   * @throws DataError if it holds other vectors; NetworkError if the server cannot be reached or refuses; AbortedError
   */
  static async open(engine: VectorEngine, source: VectorSource, options: EngineOptions): Promise<EngineIndex> {
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

  search(queries: Float32Array, k: number, options: SearchOptions = {}): Promise<Hits> {
    const { queriesPerCall } = this.#engine;
    const call = (block: Float32Array, wanted: number) => {
      this.#refuseDeep(wanted);
      return this.#call(() => this.#engine.search(block, wanted), 'searched', options.signal);
    };
    const { similarity } = this.#options;
    return searchByCalls({ source: this.#source, similarity, queriesPerCall, call }, queries, k, options);
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
    const { signal, progress = SILENT } = this.#options;
    const { rows } = this.#source;
    const held = await this.#call(() => this.#engine.open(), 'opened', signal);
    if (held < rows) {
      const task = progress.task(`loading ${this.#engine.place} of ${this.#engine.name}`, rows, 'documents');
      try {
        const present = held === 0 ? new Uint8Array(rows) : await this.#presentRows(signal);
        task.skip(present.reduce((sum, one) => sum + one, 0));
        for await (const batch of this.#missing(present, signal)) {
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

  /** Yields what is not there, in calls of a few megabytes. */
  async *#missing(present: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<EngineRows> {
    const { dimensions } = this.#source;
    const { loadBytes = 2 * 2 ** 20 } = this.#options;
    const perCall = Math.max(1, Math.floor(loadBytes / (4 * dimensions)));
    for await (const { start, vectors } of this.#source.chunks(perCall, signal)) {
      throwIfAborted(signal);
      const count = vectors.length / dimensions;
      const rows = Array.from({ length: count }, (_none, at) => start + at).filter((row) => present[row] === 0);
      if (rows.length === 0) continue;
      const wanted = new Float32Array(rows.length * dimensions);
      for (const [at, row] of rows.entries()) {
        wanted.set(vectors.subarray((row - start) * dimensions, (row - start + 1) * dimensions), at * dimensions);
      }
      const broken = wanted.findIndex((value) => !Number.isFinite(value));
      if (broken >= 0) {
        const row = rows[Math.floor(broken / dimensions)]!;
        throw brokenVector(`document ${row}`, this.#source.id(row));
      }
      const given = this.#options.similarity === 'cosine' ? unitRows(wanted, dimensions) : wanted;
      yield { rows, ids: rows.map((row) => this.#source.id(row)), vectors: given };
    }
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
