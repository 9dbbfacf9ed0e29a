import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DocumentNumbers } from '../measures/index.ts';
import { makeFolder, systemFault } from '../system/index.ts';

/** The number of SHA-256 bytes that identify a text. */
const KEY_BYTES = 16;
/** The key, then whether the text was truncated (a 32-bit number, little-endian). */
const ENTRY_BYTES = KEY_BYTES + 4;

/** Whether an encoder truncated a text. */
export const CUT = { no: 0, yes: 1, unknown: 2 } as const;
export type Cut = (typeof CUT)[keyof typeof CUT];

export const VECTORS_NAME = 'vectors.f32';
export const KEYS_NAME = 'vectors.keys';

/** Returns the files of a folder of vectors that hold them and their keys. */
export function vectorFiles(folder: string): string[] {
  return [VECTORS_NAME, KEYS_NAME].map((name) => join(folder, name));
}

/** Returns the key of a text // [16 bytes] */
export function keyOfText(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, KEY_BYTES);
}

/** The entries of all complete vectors, in the order of their rows. */
export class VectorKeys {
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Reads the entries of the complete vectors; none if there is no store. @throws DataError, ResourceError */
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

  /** Returns the first 32 bits of the key, enough to detect that a row has changed. */
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
 * The vectors of one encoder, by the content of the texts: an append-only file of 32-bit floats, and one of keys.
 * Vectors reach the disk before their keys, and anything after the last complete pair is ignored, so a killed process
 * loses only what it had not appended. Only one process at a time may open the store; reading needs no lock.
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

  /**
   * Opens the store for appending, and removes an incomplete last row. The caller must hold its lock.
   * @throws ResourceError
   */
  static async open(folder: string, dimensions: number): Promise<VectorStore> {
    await makeFolder(folder);
    const whole = await VectorKeys.read(folder, dimensions);
    const vectors = await openToWrite(join(folder, VECTORS_NAME));
    try {
      const store = new VectorStore(dimensions, vectors, await openToWrite(join(folder, KEYS_NAME)));
      // No text is appended twice, so the file is damaged from the first repeated key on.
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

  /** Returns the row of a text; undefined if it has none yet. */
  row(key: Buffer): number | undefined {
    return this.#rows.find(key.toString('latin1'));
  }

  cut(row: number): Cut {
    return this.#cuts[row]!;
  }

  /**
   * Appends vectors, and returns when they are on the disk.
   * @param vectors row-major // [keys, dimensions]
   * @throws ResourceError if the disk is full
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
  // Not `a`, which would append after an incomplete row, and not `w`, which would empty the file.
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
