import { type FileHandle, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readAhead, readFully, readJsonFile } from '../files/index.ts';
import { CacheKind, DataError, systemFault, writeDurably } from '../system/index.ts';
import { VECTORS_NAME, VectorKeys } from './vector-store.ts';

/** Increase this if the same encoder and documents would give other files. */
export const VECTORS_FORMAT = 3;

export const VECTOR_CACHE = new CacheKind({
  name: 'vectors',
  format: VECTORS_FORMAT,
  what: 'document vectors',
  describe: describeVectors,
});

/** The fix for every fault in a folder of vectors. */
const ENCODE_AGAIN = 'Remove the folder of vectors and encode the corpus again.';

/** `corpus-KEY.json`: records which vectors belong to a corpus, and that all of them exist. */
export const vectorManifestSchema = z.object({
  version: z.literal(VECTORS_FORMAT),
  /** The content key of encoder, text form and corpus. */
  key: z.string(),
  encoder: z.object({
    id: z.string(),
    fingerprint: z.string(),
    settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  dimensions: z.int().positive(),
  /** How a document becomes a text. */
  textForm: z.string(),
  corpusHash: z.string(),
  rows: z.int().positive(),
  /**
   * The number of truncated documents, and the encoder's limit in tokens; absent if the encoder does not report
   * truncation.
   */
  cut: z.object({ documents: z.int().nonnegative(), tokens: z.int().positive() }).optional(),
});
export type VectorManifest = z.output<typeof vectorManifestSchema>;

/** Returns the paths of the files of a corpus, in the folder of its encoder. */
export function corpusFiles(folder: string, key: string) {
  const stem = join(folder, `corpus-${key.slice(0, 32)}`);
  return { manifest: `${stem}.json`, ids: `${stem}.ids.jsonl`, rows: `${stem}.rows`, lock: `${stem}.lock` };
}

/** Records which rows of the store belong to a corpus. The manifest is written last: a corpus with one is complete. */
export async function writeCorpus(
  folder: string,
  manifest: VectorManifest,
  documents: { ids: readonly string[]; rows: readonly number[]; marks: readonly number[] },
): Promise<void> {
  const files = corpusFiles(folder, manifest.key);
  const pairs = new Uint32Array(2 * documents.rows.length);
  for (const [at, row] of documents.rows.entries()) pairs.set([row, documents.marks[at]!], 2 * at);
  await writeDurably(files.ids, documents.ids.map((id) => `${JSON.stringify(id)}\n`).join(''));
  await writeDurably(files.rows, new Uint8Array(pairs.buffer));
  await writeDurably(files.manifest, `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Consecutive rows of a matrix of vectors. */
export interface VectorRows {
  /** The row of the first vector. */
  start: number;
  /** Row-major // [rows, dimensions]; owned by the receiver. */
  vectors: Float32Array;
}

/** The vectors of a corpus on the disk, written by {@link encodeCorpus}. Ids are in memory, vectors are not. */
export class VectorFile {
  readonly folder: string;
  readonly manifest: VectorManifest;
  /** Document ids, by row. */
  readonly ids: readonly string[];
  /** The row of each vector in the store // [documents] */
  readonly #places: Uint32Array;
  #closed = false;

  private constructor(folder: string, manifest: VectorManifest, ids: string[], places: Uint32Array) {
    this.folder = folder;
    this.manifest = manifest;
    this.ids = ids;
    this.#places = places;
  }

  get rows(): number {
    return this.manifest.rows;
  }

  get dimensions(): number {
    return this.manifest.dimensions;
  }

  /**
   * Opens the vectors of a corpus and checks its files against each other.
   * @param folder the folder of the encoder's vectors
   * @param key the key of the corpus; see {@link VectorManifest.key}
   * @throws DataError if it is unfinished, damaged or belongs to something else
   */
  static async open(folder: string, key: string): Promise<VectorFile> {
    const files = corpusFiles(folder, key);
    const manifest = await readManifest(files.manifest);
    if (manifest.key !== key) throw damaged(files.manifest, 'belongs to another encoder or corpus');
    const ids = await readIds(files.ids, manifest.rows);
    const pairs = await readPairs(files.rows, manifest.rows);
    const kept = await VectorKeys.read(folder, manifest.dimensions);
    const places = new Uint32Array(manifest.rows);
    for (let row = 0; row < places.length; row++) {
      places[row] = pairs[2 * row]!;
      const isThere = places[row]! < kept.rows && kept.mark(places[row]!) === pairs[2 * row + 1];
      if (!isThere) throw damaged(join(folder, VECTORS_NAME), `lacks the vector of document ${row}`);
    }
    return new VectorFile(folder, manifest, ids, places);
  }

  /** Returns the id of the document in a row. */
  id(row: number): string {
    return this.ids[row]!;
  }

  /**
   * Reads the rows from `start` up to, not including, `end` // [end - start, dimensions]
   * @throws DataError if a file was truncated
   */
  async read(start: number, end: number): Promise<Float32Array> {
    const { dimensions } = this;
    const vectors = new Float32Array((end - start) * dimensions);
    await this.#reading(async (handle, file) => {
      for (const { row, place, count } of this.#stretches(start, end)) {
        const bytes = new Uint8Array(vectors.buffer, (row - start) * dimensions * 4, count * dimensions * 4);
        await fill(handle, file, bytes, place * dimensions * 4);
      }
    });
    return vectors;
  }

  /**
   * Reads single rows, in any order // [rows, dimensions]
   * @throws DataError if a file was truncated
   */
  async pick(rows: readonly number[]): Promise<Float32Array> {
    const { dimensions } = this;
    const vectors = new Float32Array(rows.length * dimensions);
    const order = rows.map((_row, at) => at).sort((a, b) => this.#places[rows[a]!]! - this.#places[rows[b]!]!);
    await this.#reading(async (handle, file) => {
      for (const at of order) {
        const bytes = new Uint8Array(vectors.buffer, at * dimensions * 4, dimensions * 4);
        await fill(handle, file, bytes, this.#places[rows[at]!]! * dimensions * 4);
      }
    });
    return vectors;
  }

  /** Reads all rows in order, at most `rowsPerChunk` at a time; the next chunk is read while one is processed. */
  async *chunks(rowsPerChunk: number, signal?: AbortSignal): AsyncGenerator<VectorRows> {
    const parts = readAhead(this.rows, rowsPerChunk, (start, end) => this.read(start, end), signal);
    for await (const { start, part: vectors } of parts) yield { start, vectors };
  }

  /** Ends reading; files are open only while a chunk is read. */
  async close(): Promise<void> {
    this.#closed = true;
  }

  async #reading(work: (handle: FileHandle, file: string) => Promise<void>): Promise<void> {
    if (this.#closed) throw new DataError('is closed', { file: this.folder, fix: 'Open it again.' });
    const file = join(this.folder, VECTORS_NAME);
    const handle = await open(file, 'r').catch((error) => {
      throw systemFault(error, file);
    });
    try {
      await work(handle, file);
    } finally {
      await handle.close();
    }
  }

  /** Yields stretches of rows that are also contiguous in the store and can be read at once. */
  *#stretches(start: number, end: number): Generator<{ row: number; place: number; count: number }> {
    for (let row = start; row < end; ) {
      const place = this.#places[row]!;
      let count = 1;
      while (row + count < end && this.#places[row + count] === place + count) count++;
      yield { row, place, count };
      row += count;
    }
  }
}

function damaged(file: string, what: string, cause?: unknown): DataError {
  return new DataError(what, { file, fix: ENCODE_AGAIN, cause });
}

async function readManifest(file: string): Promise<VectorManifest> {
  return readJsonFile(file, vectorManifestSchema, (cause) => damaged(file, 'is not a manifest of vectors', cause));
}

async function readWhole(file: string): Promise<Buffer> {
  return readFile(file).catch((error) => {
    throw systemFault(error, file);
  });
}

async function readIds(file: string, rows: number): Promise<string[]> {
  const lines = (await readWhole(file)).toString().split('\n').slice(0, -1);
  if (lines.length !== rows) throw damaged(file, `holds ${lines.length} ids for ${rows} vectors`);
  return lines.map((line) => {
    try {
      return z.string().parse(JSON.parse(line));
    } catch (cause) {
      throw damaged(file, 'holds a line that is not an id', cause);
    }
  });
}

/** Reads the place and the mark of each row // [2 * rows] */
async function readPairs(file: string, rows: number): Promise<Uint32Array> {
  const bytes = await readWhole(file);
  if (bytes.length !== 8 * rows) throw damaged(file, `has ${bytes.length} bytes instead of ${8 * rows}`);
  return new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

async function fill(handle: FileHandle, file: string, bytes: Uint8Array, position: number): Promise<void> {
  if (!(await readFully(handle, bytes, position))) throw damaged(file, 'was truncated after it was opened');
}

/** Describes a folder of vectors for `cache list`: its encoder and the number of its corpora. */
/** Returns the manifests of the corpora that are complete, in the folder of an encoder. */
async function manifestsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /^corpus-[0-9a-f]+\.json$/.test(name));
  return names.map((name) => join(folder, name));
}

/**
 * Returns whether the corpora that are complete are all known, and every vector belongs to one of them: then nobody who was interrupted
 * needs the folder of this encoder any more.
 * @param isKnown by {@link VectorManifest.corpusHash}
 */
export async function areOfCorpora(folder: string, isKnown: (corpusHash: string) => boolean): Promise<boolean> {
  const used = new Set<number>();
  let width = 0;
  for (const file of await manifestsIn(folder)) {
    const { key, corpusHash, rows, dimensions } = await readManifest(file);
    if (!isKnown(corpusHash)) return false;
    const pairs = await readPairs(corpusFiles(folder, key).rows, rows);
    for (let row = 0; row < rows; row++) used.add(pairs[2 * row]!);
    width = dimensions;
  }
  return width > 0 && used.size === (await VectorKeys.read(folder, width)).rows;
}

async function describeVectors(folder: string): Promise<string | undefined> {
  const manifests = await manifestsIn(folder);
  const first = manifests[0];
  if (first === undefined) return undefined;
  const { encoder, rows } = await readManifest(first);
  return manifests.length === 1
    ? `${rows} documents, encoded by ${encoder.id}`
    : `${manifests.length} corpora, encoded by ${encoder.id}`;
}
