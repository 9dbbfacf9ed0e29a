import { availableParallelism } from 'node:os';
import { type HitList, Hits } from '../../measures/index.ts';
import { AbortedError, DataError, ModelError, throwIfAborted, UsageError } from '../../system/index.ts';
import { Breather } from '../breather.ts';
import { orderByIdDescending } from '../id-order.ts';
import { mergeHits } from '../merge-hits.ts';
import type { SearchIndex, SearchOptions } from '../search-index.ts';
import { checkSearch, withoutSelf } from '../search-index.ts';
import { topScoresCapacity } from '../top-scores.ts';
import { brokenVector, countQueries, refuseBrokenQueries } from './check-queries.ts';
import type { ScoreReply, ThreadHits } from './score-protocol.ts';
import { type ScoreThread, startScoreThreads } from './score-threads.ts';
import { unitRows } from './unit-rows.ts';
import { bytesPerVector, type VectorNumbers } from './vector-format.ts';
import type { VectorChunk, VectorSource } from './vector-source.ts';

export interface ExactIndexOptions {
  /** `cosine`: vectors are compared only by direction, and a zero vector scores 0. Default `dot`. */
  similarity?: 'dot' | 'cosine' | undefined;
  /** Search threads, one core each. Default: one per core. */
  threads?: number | undefined;
  /**
   * Maximum size, in bytes, of a corpus that stays in the search threads after the first search. A larger one is read again
   * from its source for each search. Default 256 MiB.
   */
  residentBytes?: number | undefined;
  /** Maximum memory for the hits of one thread; more queries are searched in several passes. Default 256 MiB. */
  hitBytes?: number | undefined;
}

/** Number of rows to score at a time. */
const ROWS_PER_CHUNK = 4096;

/** Chunks queued at a thread while it computes: one, so that it never waits for the reader. */
const CHUNKS_PER_THREAD = 2;

/** Threads that work on one corpus together. */
interface Crew {
  threads: ScoreThread[];
  /** Whether they hold all its vectors. */
  resident: boolean;
}

/**
 * Exact search: each query is compared with each document. The matrix products run in ONNX Runtime in worker threads,
 * so the event loop stays free; the next rows are read meanwhile.
 *
 * Memory: a resident corpus; a thread holds 3 chunks of 4,096 vectors, 16 MB of scores, the queries, and 16 k bytes of
 * hits a query (at most 256 MB); the garbage collector may let some 64 MB more lie. The number of threads changes no
 * score.
 */
export class ExactIndex implements SearchIndex<Float32Array> {
  readonly #source: VectorSource<VectorNumbers>;
  readonly #cosine: boolean;
  readonly #threadCount: number;
  readonly #staysResident: boolean;
  readonly #hitBytes: number;
  #crew: Crew | undefined;
  /** The order of ties; computed if a query has more equal scores than its buffer holds. */
  #tieOrder: { rows: Uint32Array; places: Uint32Array } | undefined;
  /** Threads of aborted and failed searches that have not ended yet. */
  #leaving: Promise<unknown> = Promise.resolve();
  /** Searches run one after another, because they share the threads. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(source: VectorSource<VectorNumbers>, options: ExactIndexOptions) {
    const { similarity, threads, residentBytes = 256 * 2 ** 20, hitBytes = 256 * 2 ** 20 } = options;
    this.#source = source;
    this.#cosine = similarity === 'cosine';
    this.#threadCount = threads ?? availableParallelism();
    this.#staysResident = source.rows * bytesPerVector(source.format ?? 'f32', source.dimensions) <= residentBytes;
    this.#hitBytes = hitBytes;
  }

  /** Opens an index over vectors, which are read at the first search. @throws UsageError for a thread count below 1 */
  static async open(source: VectorSource<VectorNumbers>, options: ExactIndexOptions = {}): Promise<ExactIndex> {
    const { threads } = options;
    if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1)) {
      throw new UsageError(`the number of threads is ${threads}`, { fix: 'Pass at least 1, or omit the setting.' });
    }
    return new ExactIndex(source, options);
  }

  get size(): number {
    return this.#source.rows;
  }

  /**
   * @param queries row-major // [queries, dimensions]
   * @throws DataError for queries of other dimensions, for a vector with a number that is not finite (it names the
   *   document), and for a source that does not yield the announced rows
   * @throws AbortedError within a second of the signal
   */
  search(queries: Float32Array, k: number, options: SearchOptions = {}): Promise<Hits> {
    const result = this.#last.then(() => this.#searchUnlessAborted(queries, k, options));
    this.#last = result.catch(() => {});
    return result;
  }

  /** Ends the threads and waits for their end. A later search starts them again. */
  async close(): Promise<void> {
    this.#dismissThreads();
    await this.#leaving;
  }

  /** The threads end by themselves after the current matrix product. */
  #dismissThreads(): void {
    const leaving = (this.#crew?.threads ?? []).map((thread) => thread.close());
    this.#crew = undefined;
    this.#leaving = Promise.all([this.#leaving, ...leaving]);
  }

  /** An abort rejects at once, even while a matrix product runs or the source is slow. */
  async #searchUnlessAborted(queries: Float32Array, k: number, options: SearchOptions): Promise<Hits> {
    const { signal } = options;
    throwIfAborted(signal);
    let stop = () => {};
    const aborted = new Promise<never>((_resolve, reject) => {
      stop = () => reject(new AbortedError());
    });
    signal?.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([this.#searchAll(queries, k, options), aborted]);
    } catch (error) {
      this.#dismissThreads();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async #searchAll(queries: Float32Array, k: number, { signal, dropSelf, onQueries }: SearchOptions): Promise<Hits> {
    const { dimensions } = this.#source;
    const documentId = (row: number) => this.#source.id(row);
    const count = countQueries(queries, dimensions, dropSelf);
    checkSearch(count, k, dropSelf);
    refuseBrokenQueries(queries, dimensions, dropSelf);
    if (this.size === 0) return new Hits(Array.from({ length: count }, noHits), documentId);
    const wanted = Math.min(this.size, dropSelf === undefined ? k : k + 1);
    const perPass = Math.max(1, Math.floor(this.#hitBytes / (8 * topScoresCapacity(wanted))));
    const found: HitList[] = [];
    for (let first = 0; first < count; first += perPass) {
      const block = queries.slice(first * dimensions, (first + perPass) * dimensions);
      const hits = await this.#searchBlock(this.#cosine ? unitRows(block, dimensions) : block, wanted, signal);
      for (const list of hits) {
        found.push(dropSelf === undefined ? list : withoutSelf(list, dropSelf[found.length], k, documentId));
      }
      onQueries?.(hits.length);
    }
    return new Hits(found, documentId);
  }

  async #searchBlock(queries: Float32Array, k: number, signal: AbortSignal | undefined): Promise<HitList[]> {
    const threads = await this.#pass(queries, k, undefined, signal);
    const hits = await mergeHits(threads, (row) => this.#source.id(row), k, new Breather(signal));
    const again = [...hits.keys()].filter((query) => threads.some(({ overflowed }) => overflowed[query] === 1));
    if (again.length > 0) await this.#searchTied(queries, again, k, signal, hits);
    return hits;
  }

  /** Repeats the search for queries with very many equal scores, with the order of all ids. */
  async #searchTied(
    queries: Float32Array,
    which: readonly number[],
    k: number,
    signal: AbortSignal | undefined,
    hits: HitList[],
  ): Promise<void> {
    const { dimensions } = this.#source;
    const block = new Float32Array(which.length * dimensions);
    for (const [at, query] of which.entries()) {
      block.set(queries.subarray(query * dimensions, (query + 1) * dimensions), at * dimensions);
    }
    this.#tieOrder ??= await orderTies(this.#source, signal);
    const { rows, places } = this.#tieOrder;
    const threads = await this.#pass(block, k, places, signal);
    const found = await mergeHits(threads, (place) => this.#source.id(rows[place]!), k, new Breather(signal));
    for (const [at, query] of which.entries()) {
      const { numbers, scores } = found[at]!;
      hits[query] = { numbers: numbers.map((place) => rows[place]!), scores };
    }
  }

  /** Scores the complete corpus once. */
  async #pass(
    queries: Float32Array,
    k: number,
    places: Uint32Array | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ThreadHits[]> {
    this.#crew ??= {
      threads: startScoreThreads(this.#threadCount, this.#source, this.#cosine && this.#source.isUnit !== true),
      resident: false,
    };
    const crew = this.#crew;
    const { threads, resident } = crew;
    await this.#ask(threads.map((thread) => thread.call({ kind: 'queries', queries, k, places })));
    if (resident) await this.#ask(threads.map((thread) => thread.call({ kind: 'kept' })));
    else await this.#streamChunks(crew, signal);
    const replies = await this.#ask(threads.map((thread) => thread.call({ kind: 'take' })));
    return replies.map((reply) => (reply.kind === 'hits' ? reply.hits : unexpected(reply)));
  }

  async #streamChunks(crew: Crew, signal: AbortSignal | undefined): Promise<void> {
    const { threads } = crew;
    const open = new Set<Promise<unknown>>();
    let rows = 0;
    for await (const chunk of this.#source.chunks(ROWS_PER_CHUNK, signal)) {
      throwIfAborted(signal);
      rows = this.#checkChunk(chunk, rows);
      while (open.size >= threads.length * CHUNKS_PER_THREAD) await Promise.race(open);
      const thread = threads.reduce((least, other) => (other.open < least.open ? other : least));
      const { start, scales } = chunk;
      const vectors = ownedVectors(chunk.vectors);
      const request = { kind: 'chunk', start, vectors, scales, keep: this.#staysResident } as const;
      const answer = this.#ask([thread.call(request, [vectors.buffer as ArrayBuffer])]);
      open.add(answer);
      answer.then(
        () => open.delete(answer),
        () => {}, // Promise.race and Promise.all throw it.
      );
    }
    await Promise.all(open);
    if (rows !== this.size) throw wrongRows(`ended after ${rows} of ${this.size} rows`);
    crew.resident = this.#staysResident;
  }

  #checkChunk({ start, vectors }: VectorChunk<VectorNumbers>, rows: number): number {
    const end = start + vectors.length / this.#source.dimensions;
    if (start !== rows || !Number.isInteger(end) || end > this.size) {
      throw wrongRows(`gave rows ${start} to ${end} of ${this.size} where row ${rows} was next`);
    }
    return end;
  }

  async #ask(calls: Promise<ScoreReply>[]): Promise<ScoreReply[]> {
    const replies = await Promise.all(calls);
    for (const reply of replies) {
      if (reply.kind === 'stopped') throw new AbortedError();
      if (reply.kind === 'broken-row') throw brokenVector(`document ${reply.row}`, this.#source.id(reply.row));
      if (reply.kind === 'failed') throw runtimeFault(reply.reason);
    }
    return replies;
  }
}

function noHits(): HitList {
  return { numbers: new Uint32Array(0), scores: new Float32Array(0) };
}

/** Both directions of the order of ties, the places shared with the threads. */
async function orderTies(source: VectorSource<VectorNumbers>, signal: AbortSignal | undefined) {
  const ids = Array.from({ length: source.rows }, (_nothing, row) => source.id(row));
  const rows = await orderByIdDescending(ids, signal);
  const places = new Uint32Array(new SharedArrayBuffer(4 * rows.length));
  for (const [place, row] of rows.entries()) places[row] = place;
  return { rows, places };
}

/** A buffer that holds more than the chunk cannot be transferred to a thread. */
function ownedVectors(vectors: VectorNumbers): VectorNumbers {
  const whole = vectors.byteLength === vectors.buffer.byteLength && vectors.buffer instanceof ArrayBuffer;
  return whole ? vectors : vectors.slice();
}

function wrongRows(what: string): DataError {
  return new DataError(`the vectors' source ${what}`, { fix: 'Delete the vectors and encode the corpus again.' });
}

function runtimeFault(reason: string): ModelError {
  return new ModelError(`the runtime could not score the corpus: ${reason}`, {
    fix: 'Search with fewer threads or fewer queries at a time.',
  });
}

function unexpected(reply: ScoreReply): never {
  throw new ModelError(`a search thread answered "${reply.kind}"`, { fix: 'Search again with one thread.' });
}
