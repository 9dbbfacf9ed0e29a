import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readFully } from '../files/index.ts';
import { DocumentNumbers } from '../measures/index.ts';
import { DataError, isAbort, makeFolder, systemFault, withFileLock } from '../system/index.ts';

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

interface StoreOptions {
  /** Its folder; the folder of that exists. */
  folder: string;
  dimensions: number;
  signal?: AbortSignal | undefined;
}

/**
 * The vectors of one encoder, by the content of the texts: an append-only file of 32-bit floats, and one of keys.
 * Vectors reach the disk before their keys, and anything after the last complete pair is ignored, so a killed process
 * loses only what it had not appended. Several processes may append: each holds a lock while it writes, and first learns what the others
 * have appended. Reading needs no lock.
 */
export class VectorStore {
  readonly dimensions: number;
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;
  readonly #vectors: FileHandle;
  readonly #keys: FileHandle;
  readonly #rows = new DocumentNumbers();
  readonly #cuts: Cut[] = [];

  private constructor(
    { folder, dimensions, signal }: StoreOptions,
    { vectors, keys }: { vectors: FileHandle; keys: FileHandle },
  ) {
    [this.#folder, this.dimensions, this.#signal, this.#vectors, this.#keys] = [
      folder,
      dimensions,
      signal,
      vectors,
      keys,
    ];
  }

  /**
   * Opens the store for appending, and removes an incomplete last row.
   * @throws ResourceError; AbortedError
   */
  static async open(options: StoreOptions): Promise<VectorStore> {
    const { folder } = options;
    await makeFolder(folder);
    const vectors = await openToWrite(join(folder, VECTORS_NAME));
    const keys = await openToWrite(join(folder, KEYS_NAME)).catch(async (error: unknown) => {
      await vectors.close();
      throw error;
    });
    const store = new VectorStore(options, { vectors, keys });
    try {
      await store.#locked(() => store.#catchUp());
      return store;
    } catch (error) {
      await store.close();
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
   * Appends vectors, and returns when they are on the disk. Those that another process has appended are left out.
   * @param vectors row-major // [keys, dimensions]
   * @throws ResourceError if the disk is full; DataError if another process removed rows; AbortedError
   */
  async append(keys: readonly Buffer[], cuts: readonly Cut[], vectors: Float32Array): Promise<void> {
    await this.#locked(async () => {
      await this.#catchUp();
      const missing = keys.flatMap((key, at) => (this.row(key) === undefined ? [at] : []));
      const entries = Buffer.alloc(missing.length * ENTRY_BYTES);
      const wanted = new Float32Array(missing.length * this.dimensions);
      for (const [place, at] of missing.entries()) {
        keys[at]!.copy(entries, place * ENTRY_BYTES);
        entries.writeUInt32LE(cuts[at]!, place * ENTRY_BYTES + KEY_BYTES);
        wanted.set(vectors.subarray(at * this.dimensions, (at + 1) * this.dimensions), place * this.dimensions);
      }
      const rows = this.#cuts.length;
      await writeWholly(this.#vectors, Buffer.from(wanted.buffer), rows * this.dimensions * 4);
      await writeWholly(this.#keys, entries, rows * ENTRY_BYTES);
      for (const at of missing) this.#learn(keys[at]!, cuts[at]!);
    });
  }

  /** Learns what was appended since, and removes what a killed process left half-written. */
  async #catchUp(): Promise<void> {
    const known = this.#cuts.length;
    const [vectors, keys] = [(await this.#vectors.stat()).size, (await this.#keys.stat()).size];
    const rows = Math.min(Math.floor(keys / ENTRY_BYTES), Math.floor(vectors / (4 * this.dimensions)));
    if (rows < known) {
      throw new DataError('another process removed vectors that this one needs', {
        file: join(this.#folder, VECTORS_NAME),
        fix: 'Run the same command again.',
      });
    }
    const news = Buffer.alloc((rows - known) * ENTRY_BYTES);
    await readFully(this.#keys, news, known * ENTRY_BYTES);
    for (let at = 0; at < news.length; at += ENTRY_BYTES) {
      const key = news.subarray(at, at + KEY_BYTES);
      // No text is appended twice, so the file is damaged from the first repeated key on.
      if (this.row(key) !== undefined) break;
      this.#learn(key, news.readUInt32LE(at + KEY_BYTES) as Cut);
    }
    const whole = { vectors: this.#cuts.length * this.dimensions * 4, keys: this.#cuts.length * ENTRY_BYTES };
    if (whole.vectors < vectors) await this.#vectors.truncate(whole.vectors);
    if (whole.keys < keys) await this.#keys.truncate(whole.keys);
  }

  /** Works while no other process appends. That takes milliseconds. */
  async #locked(work: () => Promise<void>): Promise<void> {
    try {
      await withFileLock(`${this.#folder}.lock`, work, { signal: this.#signal });
    } catch (error) {
      throw isAbort(error) ? error : systemFault(error, join(this.#folder, VECTORS_NAME));
    }
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
