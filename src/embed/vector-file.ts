import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFile } from '../files/index.ts';
import { CacheKind, DataError, throwIfAborted } from '../system/index.ts';
import { readNpyHead } from './npy.ts';
import { ENCODE_AGAIN, readShardIds, type Shard, withFile } from './vector-shards.ts';

/** Raise it if the same encoder and documents would give other files. */
const FORMAT = 1;

export const VECTOR_CACHE = new CacheKind({
  name: 'vectors',
  format: FORMAT,
  what: 'vectors of corpora',
  describe: async (path) => describeVectors(await readManifest(path)),
});

/** `manifest.json`: what the vectors are, and that all of them are there. */
export const vectorManifestSchema = z.object({
  version: z.literal(FORMAT),
  /** Content key of encoder, text form and corpus. */
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
  shards: z.array(z.object({ file: z.string().regex(/^shard-\d{5,}\.npy$/), rows: z.int().positive() })),
});
export type VectorManifest = z.output<typeof vectorManifestSchema>;

function describeVectors({ rows, encoder }: VectorManifest): string {
  return `${rows} documents under ${encoder.id}`;
}

/** Some rows of a matrix of vectors. */
export interface VectorRows {
  /** Row of the first vector. */
  start: number;
  /** Row-major // [rows, dimensions]; the receiver's own. */
  vectors: Float32Array;
}

interface PlacedShard {
  file: string;
  /** Row of the corpus at which the shard begins, and after which it ends. */
  start: number;
  end: number;
  offset: number;
}

/** The vectors of a corpus on the disk, as {@link encodeCorpus} writes them. Ids are held in memory, vectors are not. */
export class VectorFile {
  readonly folder: string;
  readonly manifest: VectorManifest;
  /** Document ids, by row. */
  readonly ids: readonly string[];
  readonly #shards: readonly PlacedShard[];
  #closed = false;

  private constructor(folder: string, manifest: VectorManifest, ids: string[], shards: PlacedShard[]) {
    this.folder = folder;
    this.manifest = manifest;
    this.ids = ids;
    this.#shards = shards;
  }

  get rows(): number {
    return this.manifest.rows;
  }

  get dimensions(): number {
    return this.manifest.dimensions;
  }

  /**
   * Opens a finished folder of vectors and checks its files against one another.
   * @param key what the vectors must be of; see {@link VectorManifest.key}
   * @throws DataError where it is unfinished, damaged or of something else
   */
  static async open(folder: string, key?: string): Promise<VectorFile> {
    const manifest = await readManifest(folder);
    if (key !== undefined && manifest.key !== key) {
      throw new DataError('holds vectors of another encoder or corpus', { file: folder, fix: ENCODE_AGAIN });
    }
    const shards: PlacedShard[] = [];
    const ids: string[] = [];
    for (const shard of manifest.shards) {
      shards.push(await placeShard(folder, shard, ids.length, manifest.dimensions));
      for (const id of await readShardIds(folder, shard)) ids.push(id);
    }
    if (ids.length !== manifest.rows) {
      throw new DataError(`holds ${ids.length} vectors instead of ${manifest.rows}`, {
        file: folder,
        fix: ENCODE_AGAIN,
      });
    }
    return new VectorFile(folder, manifest, ids, shards);
  }

  /** Id of the document of a row. */
  id(row: number): string {
    return this.ids[row]!;
  }

  /** Rows `start` to `end` (not included) // [end - start, dimensions] @throws DataError where a file was cut off */
  async read(start: number, end: number): Promise<Float32Array> {
    const { dimensions } = this;
    if (this.#closed) throw new DataError('is closed', { file: this.folder, fix: 'Open it again.' });
    const vectors = new Float32Array((end - start) * dimensions);
    for (const shard of this.#shards) {
      const from = Math.max(start, shard.start);
      const count = Math.min(end, shard.end) - from;
      if (count <= 0) continue;
      const bytes = new Uint8Array(vectors.buffer, (from - start) * dimensions * 4, count * dimensions * 4);
      await readFully(shard, bytes, shard.offset + (from - shard.start) * dimensions * 4);
    }
    return vectors;
  }

  /** All rows in order, at most `rowsPerChunk` at a time; the next chunk is read while one is worked on. */
  async *chunks(rowsPerChunk: number, signal?: AbortSignal): AsyncGenerator<VectorRows> {
    const readAt = (start: number) => {
      const reading = this.read(start, Math.min(this.rows, start + rowsPerChunk));
      reading.catch(() => {});
      return reading;
    };
    let next = readAt(0);
    try {
      for (let start = 0; start < this.rows; start += rowsPerChunk) {
        throwIfAborted(signal);
        const vectors = await next;
        if (start + rowsPerChunk < this.rows) next = readAt(start + rowsPerChunk);
        yield { start, vectors };
      }
    } finally {
      await next.catch(() => {});
    }
  }

  /** Ends reading; files are open only while a chunk is read. */
  async close(): Promise<void> {
    this.#closed = true;
  }
}

async function readManifest(folder: string): Promise<VectorManifest> {
  const file = join(folder, 'manifest.json');
  return readJsonFile(
    file,
    vectorManifestSchema,
    (cause) => new DataError('is not a manifest of vectors', { file, fix: ENCODE_AGAIN, cause }),
  );
}

async function placeShard(folder: string, shard: Shard, start: number, dimensions: number): Promise<PlacedShard> {
  const file = join(folder, shard.file);
  return withFile(file, async (handle) => {
    const head = await readNpyHead(handle, file);
    if (head.rows !== shard.rows || head.dimensions !== dimensions) {
      const found = `[${head.rows}, ${head.dimensions}]`;
      throw new DataError(`is ${found}, but the manifest says [${shard.rows}, ${dimensions}]`, {
        file,
        fix: ENCODE_AGAIN,
      });
    }
    return { file, start, end: start + shard.rows, offset: head.offset };
  });
}

/** Fills `bytes` from a position; a single read may bring less. */
async function readFully({ file }: PlacedShard, bytes: Uint8Array, position: number): Promise<void> {
  await withFile(file, async (handle) => {
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done);
      if (bytesRead === 0) throw new DataError('was cut off after it was opened', { file, fix: ENCODE_AGAIN });
      done += bytesRead;
    }
  });
}
