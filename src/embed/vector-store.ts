import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DocumentNumbers } from '../measures/index.ts';
import { makeFolder, systemFault } from '../system/index.ts';

/** Bytes of SHA-256 that name a text. */
const KEY_BYTES = 16;
/** Key, then whether the text was cut (a 32-bit number, little-endian). */
const ENTRY_BYTES = KEY_BYTES + 4;

/** Whether an encoder read a text to its end. */
export const CUT = { no: 0, yes: 1, unknown: 2 } as const;
export type Cut = (typeof CUT)[keyof typeof CUT];

export const VECTORS_NAME = 'vectors.f32';
export const KEYS_NAME = 'vectors.keys';

/** Names a text // [16 bytes] */
export function keyOfText(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, KEY_BYTES);
}

/** The entries of all whole vectors, in the order of their rows. */
export class VectorKeys {
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Reads the entries of the vectors that are whole; none if there is no store. @throws DataError, ResourceError */
  static async read(folder: string, dimensions: number): Promise<VectorKeys> {
    const file = join(folder, KEYS_NAME);
    const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw systemFault(error, file);
    });
    const vectors = await sizeOf(join(folder, VECTORS_NAME));
    const rows = Math.min(Math.floor(bytes.length / ENTRY_BYTES), Math.floor(vectors / (4 * dimensions)));
    return new VectorKeys(bytes.subarray(0, rows * ENTRY_BYTES));
  }

  get rows(): number {
    return this.#bytes.length / ENTRY_BYTES;
  }

  key(row: number): Buffer {
    return this.#bytes.subarray(row * ENTRY_BYTES, row * ENTRY_BYTES + KEY_BYTES);
  }

  /** The first 32 bits of the key: enough to see that a row is not what it was. */
  mark(row: number): number {
    return this.#bytes.readUInt32LE(row * ENTRY_BYTES);
  }

  cut(row: number): Cut {
    return this.#bytes.readUInt32LE(row * ENTRY_BYTES + KEY_BYTES) as Cut;
  }
}

async function sizeOf(file: string): Promise<number> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  });
  try {
    return (await handle?.stat())?.size ?? 0;
  } finally {
    await handle?.close();
  }
}

/**
 * The vectors of one encoder, each under the content of its text: one file of 32-bit floats that only grows, and one of keys. Vectors
 * reach the disk before their keys, and what is behind the last whole pair does not count: a process that is killed loses what it had
 * not appended, and nothing else. One process at a time may open it; reading needs no leave.
 */
export class VectorStore {
  readonly dimensions: number;
  readonly #vectors: FileHandle;
  readonly #keys: FileHandle;
  readonly #rows = new DocumentNumbers();
  readonly #cuts: Cut[] = [];

  private constructor(dimensions: number, vectors: FileHandle, keys: FileHandle) {
    this.dimensions = dimensions;
    this.#vectors = vectors;
    this.#keys = keys;
  }

  /** Opens the store for appending; a last row that is not whole is taken off. The caller holds its lock. @throws ResourceError */
  static async open(folder: string, dimensions: number): Promise<VectorStore> {
    await makeFolder(folder);
    const whole = await VectorKeys.read(folder, dimensions);
    const vectors = await openToWrite(join(folder, VECTORS_NAME));
    try {
      const store = new VectorStore(dimensions, vectors, await openToWrite(join(folder, KEYS_NAME)));
      // No text is appended twice: behind a key that comes again, the file is not ours.
      for (let row = 0; row < whole.rows && store.row(whole.key(row)) === undefined; row++) {
        store.#learn(whole.key(row), whole.cut(row));
      }
      await store.#vectors.truncate(store.#cuts.length * dimensions * 4);
      await store.#keys.truncate(store.#cuts.length * ENTRY_BYTES);
      return store;
    } catch (error) {
      await vectors.close();
      throw error;
    }
  }

  /** The row of a text; undefined if there is none yet. */
  row(key: Buffer): number | undefined {
    return this.#rows.find(key.toString('latin1'));
  }

  cut(row: number): Cut {
    return this.#cuts[row]!;
  }

  /**
   * Appends vectors and has them on the disk when it returns.
   * @param vectors row-major // [keys, dimensions]
   * @throws ResourceError when the disk is full
   */
  async append(keys: readonly Buffer[], cuts: readonly Cut[], vectors: Float32Array): Promise<void> {
    const entries = Buffer.alloc(keys.length * ENTRY_BYTES);
    for (const [at, key] of keys.entries()) {
      key.copy(entries, at * ENTRY_BYTES);
      entries.writeUInt32LE(cuts[at]!, at * ENTRY_BYTES + KEY_BYTES);
    }
    const rows = this.#cuts.length;
    const bytes = Buffer.from(vectors.buffer, vectors.byteOffset, vectors.byteLength);
    try {
      await writeWholly(this.#vectors, bytes, rows * this.dimensions * 4);
      await writeWholly(this.#keys, entries, rows * ENTRY_BYTES);
    } catch (error) {
      throw systemFault(error, VECTORS_NAME);
    }
    for (const [at, key] of keys.entries()) this.#learn(key, cuts[at]!);
  }

  async close(): Promise<void> {
    await this.#vectors.close();
    await this.#keys.close();
  }

  #learn(key: Buffer, cut: Cut): void {
    this.#rows.number(key.toString('latin1'));
    this.#cuts.push(cut);
  }
}

async function openToWrite(file: string): Promise<FileHandle> {
  // Not `a`, which would write behind a half row; not `w`, which would empty the file.
  const handle = await open(file, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return open(file, 'wx+');
    throw error;
  });
  return handle;
}

async function writeWholly(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
  await handle.sync();
}
