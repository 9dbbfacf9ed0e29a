import { createHash, type Hash } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { claimNeighbour, DurableFile, syncFolder, systemFault, writeDurably } from '../system/index.ts';
import type { SegmentFacts } from './manifest.ts';
import { SEGMENT_FILES, type SegmentFile } from './segment.ts';
import { encodeTable, KEY_BYTES } from './segment-table.ts';

/** Lines are written in pieces of about this many characters. */
const PIECE = 1 << 18;

/** A segment in the making: a folder under another name until it is complete. */
export class SegmentWriter {
  readonly ids: string[] = [];
  readonly #name: string;
  readonly #target: string;
  readonly #folder: string;
  readonly #documents: DurableFile;
  readonly #hash: Hash = createHash('sha256');
  readonly #starts: number[] = [0];
  readonly #keys: Buffer[] = [];
  #piece = '';
  #vectors: DurableFile | undefined;

  private constructor(target: string, name: string, folder: string, documents: DurableFile) {
    [this.#target, this.#name, this.#folder, this.#documents] = [target, name, folder, documents];
  }

  static async create(index: string, name: string): Promise<SegmentWriter> {
    const target = join(index, name);
    const folder = await claimNeighbour(target, 'partial');
    await mkdir(folder).catch((error: unknown) => {
      throw systemFault(error, folder);
    });
    return new SegmentWriter(target, name, folder, await DurableFile.create(join(folder, SEGMENT_FILES.documents)));
  }

  /** The path of a file of the segment. */
  path(name: SegmentFile): string {
    return join(this.#folder, SEGMENT_FILES[name]);
  }

  /** Adds a document by its line. */
  async addLine(id: string, line: string, key: Buffer): Promise<void> {
    const bytes = Buffer.byteLength(line) + 1;
    this.ids.push(id);
    this.#keys.push(key);
    this.#starts.push(this.#starts.at(-1)! + bytes);
    this.#hash.update(line).update('\n');
    this.#piece += `${line}\n`;
    if (this.#piece.length >= PIECE) await this.#flush();
  }

  /** Ends the documents, which can be read from now on. @returns their hash */
  async endDocuments(): Promise<string> {
    await this.#flush();
    await this.#documents.commit();
    return this.#hash.digest('hex');
  }

  /** Appends vectors // [rows, dimensions] */
  async addVectors({ buffer, byteOffset, byteLength }: Float32Array): Promise<void> {
    this.#vectors ??= await DurableFile.create(this.path('vectors'));
    await this.#vectors.write(new Uint8Array(buffer, byteOffset, byteLength));
  }

  /**
   * Completes the segment, which appears under its name.
   * @param counts number of vectors of each document // [documents]
   * @param cuts see `SegmentTable` // [vectors]
   */
  async commit(hash: string, counts: readonly number[], cuts: Uint8Array): Promise<SegmentFacts> {
    await this.#vectors?.commit();
    const rows = new Uint32Array(this.ids.length + 1);
    for (const [at, count] of counts.entries()) rows[at + 1] = rows[at]! + count;
    const keys = Buffer.concat(this.#keys, this.ids.length * KEY_BYTES);
    await writeDurably(this.path('ids'), JSON.stringify(this.ids));
    await writeDurably(this.path('table'), encodeTable({ starts: Float64Array.from(this.#starts), rows, keys, cuts }));
    const bytes = await this.#sizes();
    try {
      await syncFolder(this.#folder);
      await rename(this.#folder, this.#target);
      await syncFolder(dirname(this.#target));
    } catch (error) {
      throw systemFault(error, this.#target);
    }
    return { name: this.#name, hash, documents: this.ids.length, rows: rows.at(-1)!, bytes };
  }

  async discard(): Promise<void> {
    await this.#documents.discard();
    await this.#vectors?.discard();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #flush(): Promise<void> {
    const piece = this.#piece;
    this.#piece = '';
    await this.#documents.write(piece);
  }

  async #sizes(): Promise<Record<string, number>> {
    const sizes: Record<string, number> = {};
    for (const name of Object.keys(SEGMENT_FILES) as SegmentFile[]) {
      const found = await stat(this.path(name)).catch(() => undefined);
      if (found !== undefined) sizes[name] = found.size;
    }
    return sizes;
  }
}
