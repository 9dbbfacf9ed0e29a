import { open, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { HitList, Hits } from '../../measures/index.ts';
import {
  AbortedError,
  CacheKind,
  claimNeighbour,
  contentKey,
  isSealed,
  makeFolder,
  optionalPackage,
  type Progress,
  ResourceError,
  removeSealed,
  SILENT,
  seal,
  syncFolder,
  systemFault,
  throwIfAborted,
  WorkerThread,
  withFileLock,
} from '../../system/index.ts';
import { brokenVector } from '../dense/check-queries.ts';
import { unitRows } from '../dense/unit-rows.ts';
import type { VectorSource } from '../dense/vector-source.ts';
import { denseQueries, searchByCalls } from '../search-by-calls.ts';
import type { SearchIndex, SearchOptions } from '../search-index.ts';
import type { GraphReply, GraphRequest, GraphSettings } from './hnsw-protocol.ts';

/** Increase it if the same vectors and settings would give another graph. */
const HNSW_FORMAT = 1;

export const HNSW_CACHE = new CacheKind({ name: 'hnsw', format: HNSW_FORMAT, what: 'HNSW graphs of document vectors' });

export interface HnswOptions {
  /** Folder of the cached graphs. */
  folder: string;
  /** The content key of the vectors: of encoder, text form and corpus. */
  key: string;
  similarity: 'dot' | 'cosine';
  /** How the graph stores vectors. */
  format: 'f32' | 'f16';
  hnsw: { m: number; efConstruction: number; ef: number };
  /** Threads of building and searching. Default: one per core. */
  threads?: number | undefined;
  /** While it is built, the graph is stored this often, so that a killed process loses no more. Default 120. */
  saveSeconds?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** Documents in one call: few enough to react to an abort soon. */
const ROWS_PER_CALL = 1024;
const QUERIES_PER_CALL = 64;

type Graph = WorkerThread<GraphRequest, GraphReply>;

/**
 * Approximate search in a graph (HNSW, arXiv 1603.09320) by the library usearch. The graph is built once and cached by the content
 * of the vectors and its settings; its file is mapped into memory for the search.
 */
export class HnswIndex implements SearchIndex<Float32Array> {
  readonly #source: VectorSource;
  readonly #options: HnswOptions;
  readonly #graph: Graph;

  private constructor(source: VectorSource, options: HnswOptions, graph: Graph) {
    [this.#source, this.#options, this.#graph] = [source, options, graph];
  }

  /**
   * Opens the graph of these vectors from the cache, or builds it. An interrupted build resumes from what was stored last.
   * @throws ResourceError if the package `usearch` is missing, or the disk is full; DataError; AbortedError
   */
  static async open(source: VectorSource, options: HnswOptions): Promise<HnswIndex> {
    await optionalPackage(() => import('usearch'), 'usearch', '--index hnsw');
    const { key: vectors, similarity, format, hnsw, folder, signal, progress } = options;
    const { m, efConstruction } = hnsw;
    const key = contentKey({ hnsw: HNSW_FORMAT, vectors, similarity, format, m, efConstruction });
    const file = join(folder, `${key.slice(0, 32)}.usearch`);
    await makeFolder(folder);
    const kept = await view(file, source, options);
    if (kept !== undefined) return new HnswIndex(source, options, kept);
    const work = async () => {
      // Another process may have built it while this one waited.
      const made = await view(file, source, options);
      if (made !== undefined) return made;
      await build(file, source, options);
      return view(file, source, options);
    };
    const graph = await withFileLock(`${file}.lock`, work, { signal, progress, what: 'builds the same graph' });
    if (graph === undefined) throw unwritten(file, undefined);
    await HNSW_CACHE.note(file, `${source.rows} documents, M ${m}, ef construction ${efConstruction}, ${format}`);
    return new HnswIndex(source, options, graph);
  }

  get size(): number {
    return this.#source.rows;
  }

  get facts(): Record<string, string | number> {
    const { m, efConstruction, ef } = this.#options.hnsw;
    const graph = { 'HNSW M': m, 'HNSW ef construction': efConstruction, 'HNSW ef': ef };
    return { index: 'HNSW (usearch)', vectors: this.#options.format, ...graph };
  }

  async search(queries: Float32Array, k: number, options: SearchOptions = {}): Promise<Hits> {
    const call = async (block: Float32Array, wanted: number) =>
      listsOf(await this.#graph.call({ kind: 'search', queries: block, k: wanted }, [block.buffer as ArrayBuffer]));
    const { dimensions } = this.#source;
    const { similarity } = this.#options;
    const rows = denseQueries(queries, { dimensions, similarity }, options);
    return searchByCalls({ source: this.#source, queriesPerCall: QUERIES_PER_CALL, call }, rows, k, options);
  }

  close(): Promise<void> {
    return this.#graph.close();
  }
}

function listsOf(reply: GraphReply): HitList[] {
  if (reply.kind !== 'hits') throw threadFault(undefined);
  let at = 0;
  return Array.from(reply.counts, (count) => {
    const list = { numbers: reply.numbers.subarray(at, at + count), scores: reply.scores.subarray(at, at + count) };
    at += count;
    return list;
  });
}

function startGraph(
  { dimensions }: VectorSource,
  { hnsw, format, threads = availableParallelism() }: HnswOptions,
): Graph {
  const data: GraphSettings = { dimensions, format, ...hnsw, threads };
  return new WorkerThread(import.meta.url, './hnsw-worker.ts', { data, fault: threadFault });
}

/**
 * Maps the file of a graph; undefined if there is none, or it is not as it was written: the library trusts a file, and a damaged one
 * ends the process.
 */
async function view(file: string, source: VectorSource, options: HnswOptions): Promise<Graph | undefined> {
  if (!(await isSealed(file, options.signal))) return undefined;
  const graph = startGraph(source, options);
  const reply = await graph.call({ kind: 'view', file }).catch(() => undefined);
  if (reply?.kind === 'done' && reply.size === source.rows) return graph;
  await graph.close();
  return undefined;
}

async function build(file: string, source: VectorSource, options: HnswOptions): Promise<void> {
  const { signal, progress = SILENT, saveSeconds = 120 } = options;
  const { dimensions, rows } = source;
  const unfinished = join(dirname(file), `unfinished-${basename(file)}`);
  const task = progress.task('building the HNSW graph', rows, 'documents');
  const graph = startGraph(source, options);
  try {
    const begun = (await isSealed(unfinished, signal))
      ? await graph.call({ kind: 'load', file: unfinished }).catch(() => undefined)
      : undefined;
    const held = begun?.kind === 'done' && begun.size <= rows ? begun.size : 0;
    task.skip(held);
    let saved = performance.now();
    for await (const { start, vectors } of source.chunks(ROWS_PER_CALL, signal)) {
      throwIfAborted(signal);
      const count = vectors.length / dimensions;
      const first = Math.max(held, start);
      if (first >= start + count) continue;
      await graph.call({
        kind: 'add',
        start: first,
        vectors: prepared(vectors.slice((first - start) * dimensions), first, source, options),
      });
      task.advance(start + count - first);
      if (performance.now() - saved < 1000 * saveSeconds) continue;
      await save(graph, unfinished);
      saved = performance.now();
    }
    await save(graph, file);
    await removeSealed(unfinished);
  } finally {
    task.done();
    await graph.close();
  }
}

function prepared(
  vectors: Float32Array,
  first: number,
  source: VectorSource,
  { similarity }: HnswOptions,
): Float32Array {
  const { dimensions } = source;
  const broken = vectors.findIndex((value) => !Number.isFinite(value));
  if (broken >= 0) {
    const row = first + Math.floor(broken / dimensions);
    throw brokenVector(`document ${row}`, source.id(row));
  }
  return similarity === 'cosine' ? unitRows(vectors, dimensions) : vectors;
}

/** Stores the graph under a name that appears when the file is complete. */
async function save(graph: Graph, file: string): Promise<void> {
  const temporary = await claimNeighbour(file, 'partial');
  try {
    await graph.call({ kind: 'save', file: temporary });
    const handle = await open(temporary, 'r+');
    await handle.sync().finally(() => handle.close());
    await rename(temporary, file);
    await syncFolder(dirname(file));
    await seal(file);
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof AbortedError) throw error;
    throw error instanceof ResourceError ? unwritten(file, error) : systemFault(error, file);
  }
}

function unwritten(file: string, cause: Error | undefined): ResourceError {
  const fix = 'Check that the disk has room, and run the same command again.';
  return new ResourceError(`the graph could not be written${cause === undefined ? '' : ` (${cause.message})`}`, {
    file,
    fix,
    cause,
  });
}

function threadFault(cause: Error | undefined): ResourceError {
  return new ResourceError(`the thread of the HNSW graph failed${cause === undefined ? '' : `: ${cause.message}`}`, {
    fix: 'If memory is short, free some, or search with --index exact.',
    cause,
  });
}
