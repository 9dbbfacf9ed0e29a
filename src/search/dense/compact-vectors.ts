import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readAhead, readFully } from '../../files/index.ts';
import {
  CacheKind,
  contentKey,
  DataError,
  DurableFile,
  type Progress,
  SILENT,
  systemFault,
  throwIfAborted,
} from '../../system/index.ts';
import { unitRows } from './unit-rows.ts';
import { bytesPerVector, encodeVectors, type VectorFormat, type VectorNumbers } from './vector-format.ts';
import type { VectorChunk, VectorSource } from './vector-source.ts';

/** Increase it if the same vectors would give another file. */
const COMPACT_FORMAT = 1;

export const COMPACT_CACHE = new CacheKind({
  name: 'compact-vectors',
  format: COMPACT_FORMAT,
  what: 'document vectors in f16 and int8',
});

export interface CompactOptions {
  /** Folder of the cached files. */
  folder: string;
  /** The content key of the vectors: of encoder, text form and corpus. */
  key: string;
  format: Exclude<VectorFormat, 'f32'>;
  /** Whether to bring each vector to length 1 first, for a search by cosine. */
  unit: boolean;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

type CompactNumbers = Exclude<VectorNumbers, Float32Array>;

const headerSchema = z.object({ format: z.literal(COMPACT_FORMAT), key: z.string() });

/** The header is padded with blanks to this length. */
const HEADER_BYTES = 512;

const ROWS_AT_ONCE = 4096;

/**
 * The vectors of a corpus as f16 or int8, in a file of a half or a quarter of the size: header, the numbers row by row, the
 * scales. It is made from the f32 vectors in one pass, at most some thousands at a time, and appears when it is complete.
 */
export class CompactVectors implements VectorSource<CompactNumbers> {
  readonly rows: number;
  readonly dimensions: number;
  readonly format: Exclude<VectorFormat, 'f32'>;
  readonly isUnit: boolean;
  readonly file: string;
  readonly #source: VectorSource;

  private constructor(source: VectorSource, file: string, { format, unit }: CompactOptions) {
    [this.rows, this.dimensions, this.#source] = [source.rows, source.dimensions, source];
    [this.file, this.format, this.isUnit] = [file, format, unit];
  }

  /**
   * Opens the file of these vectors in the cache; if there is no complete one, it is made.
   * @throws DataError for a number that the format cannot hold; ResourceError if the disk is full; AbortedError
   */
  static async open(source: VectorSource, options: CompactOptions): Promise<CompactVectors> {
    const { format, unit, folder, key: vectors } = options;
    const key = contentKey({ compact: COMPACT_FORMAT, format, unit, vectors });
    const compact = new CompactVectors(source, join(folder, `${key.slice(0, 32)}.${format}`), options);
    if (!(await compact.#isWhole(key))) await compact.#make(key, options);
    return compact;
  }

  id(row: number): string {
    return this.#source.id(row);
  }

  async *chunks(rowsPerChunk: number, signal?: AbortSignal): AsyncGenerator<VectorChunk<CompactNumbers>> {
    const parts = readAhead(this.rows, rowsPerChunk, (start, end) => this.#read(start, end), signal);
    for await (const { start, part } of parts) yield { start, ...part };
  }

  /** Bytes of the numbers of `rows` rows, without their scales. */
  #bytesOf(rows: number): number {
    return rows * this.dimensions * (this.format === 'f16' ? 2 : 1);
  }

  async #read(start: number, end: number): Promise<Omit<VectorChunk<CompactNumbers>, 'start'>> {
    const handle = await open(this.file, 'r').catch((error) => {
      throw systemFault(error, this.file);
    });
    try {
      const vectors = await this.#fill(handle, new Uint8Array(this.#bytesOf(end - start)), this.#bytesOf(start));
      if (this.format === 'f16') return { vectors: new Uint16Array(vectors.buffer) };
      const scales = await this.#fill(handle, new Uint8Array(4 * (end - start)), this.#bytesOf(this.rows) + 4 * start);
      return { vectors: new Int8Array(vectors.buffer), scales: new Float32Array(scales.buffer) };
    } finally {
      await handle.close();
    }
  }

  async #fill(handle: FileHandle, bytes: Uint8Array<ArrayBuffer>, position: number): Promise<Uint8Array<ArrayBuffer>> {
    if (await readFully(handle, bytes, HEADER_BYTES + position)) return bytes;
    const fix = 'Run the same command again: the file is made anew.';
    throw new DataError('was truncated after it was opened', { file: this.file, fix });
  }

  async #isWhole(key: string): Promise<boolean> {
    const handle = await open(this.file, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw systemFault(error, this.file);
    });
    try {
      const head = Buffer.alloc(HEADER_BYTES);
      if (handle === undefined || !(await readFully(handle, head, 0))) return false;
      const header = headerSchema.safeParse(parsed(head.toString())).data;
      const { size } = await handle.stat();
      return header?.key === key && size === HEADER_BYTES + this.rows * bytesPerVector(this.format, this.dimensions);
    } finally {
      await handle?.close();
    }
  }

  async #make(key: string, { signal, progress = SILENT }: CompactOptions): Promise<void> {
    const task = progress.task(`converting vectors to ${this.format}`, this.rows, 'vectors');
    const file = await DurableFile.create(this.file);
    try {
      await file.write(Buffer.from(JSON.stringify({ format: COMPACT_FORMAT, key }).padEnd(HEADER_BYTES)));
      const allScales: Float32Array[] = [];
      for await (const { start, vectors } of this.#source.chunks(ROWS_AT_ONCE, signal)) {
        throwIfAborted(signal);
        const encoded = this.#encode(start, vectors);
        await file.write(bytesOf(encoded.vectors));
        if (encoded.scales !== undefined) allScales.push(encoded.scales);
        task.advance(vectors.length / this.dimensions);
      }
      for (const scales of allScales) await file.write(bytesOf(scales));
    } catch (error) {
      await file.discard();
      throw error;
    } finally {
      task.done();
    }
    await file.commit();
  }

  #encode(start: number, vectors: Float32Array) {
    const given = this.isUnit ? unitRows(vectors, this.dimensions) : vectors;
    return encodeVectors(given, this.dimensions, this.format, (row) => {
      throw new DataError(`the vector of this document holds a number that ${this.format} cannot hold`, {
        id: this.id(start + row),
        fix: 'Search with --vectors f32. If that fails too, look at the model: NaN or infinity in a weight spoils every text.',
      });
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: CompactNumbers | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
