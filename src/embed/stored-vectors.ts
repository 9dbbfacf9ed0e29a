import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { readFully } from '../files/index.ts';
import { DocumentNumbers } from '../measures/index.ts';
import { DataError, systemFault } from '../system/index.ts';
import { CUT, keyOfText, VECTORS_NAME, VectorKeys } from './vector-store.ts';

/** The vectors of one encoder that an earlier run stored, found by text. Memory holds their keys, not the vectors. */
export class StoredVectors {
  readonly dimensions: number;
  readonly #file: string;
  readonly #keys: VectorKeys;
  readonly #rows = new DocumentNumbers();

  private constructor(file: string, keys: VectorKeys, dimensions: number) {
    [this.#file, this.#keys, this.dimensions] = [file, keys, dimensions];
    for (let row = 0; row < keys.rows; row++) this.#rows.number(keys.key(row).toString('latin1'));
  }

  /** @param folder of the encoder's vectors; see `VectorFile` */
  static async open(folder: string, dimensions: number): Promise<StoredVectors> {
    return new StoredVectors(join(folder, VECTORS_NAME), await VectorKeys.read(folder, dimensions), dimensions);
  }

  /** Returns the row of a text; undefined if it has none. */
  find(text: string): number | undefined {
    return this.#rows.find(keyOfText(text).toString('latin1'));
  }

  /** Whether the encoder truncated the text of this row. */
  isCut(row: number): boolean {
    return this.#keys.cut(row) === CUT.yes;
  }

  /** Reads single rows, in any order, each into its place // [places, dimensions] */
  async read(rows: ReadonlyMap<number, number>, into: Float32Array): Promise<void> {
    const width = this.dimensions * 4;
    const handle = await open(this.#file, 'r').catch((error) => {
      throw systemFault(error, this.#file);
    });
    try {
      for (const [place, row] of [...rows].sort(([, a], [, b]) => a - b)) {
        const bytes = new Uint8Array(into.buffer, into.byteOffset + place * width, width);
        if (await readFully(handle, bytes, row * width)) continue;
        throw new DataError('was truncated after it was opened', {
          file: this.#file,
          fix: 'Run the same command again.',
        });
      }
    } finally {
      await handle.close();
    }
  }
}
