import { DataError } from '../../system/index.ts';
import type { VectorFormat, VectorNumbers } from './vector-format.ts';

/** Some rows of a matrix of vectors. */
export interface VectorChunk<N extends VectorNumbers = Float32Array> {
  /** Row of the first vector. */
  start: number;
  /** Row-major // [rows, dimensions]. The consumer owns it: the source neither reads nor writes it again. */
  vectors: N;
  /** Of int8: the factor of each row // [rows] */
  scales?: Float32Array;
}

/** A corpus as vectors, in memory or on disk, that can be read repeatedly from the first row to the last. */
export interface VectorSource<N extends VectorNumbers = Float32Array> {
  readonly rows: number;
  readonly dimensions: number;
  /** How its numbers are stored. Default f32. */
  readonly format?: VectorFormat;
  /** Whether its vectors were brought to length 1 before they were stored. Default false. */
  readonly isUnit?: boolean;
  /** Returns the document id of a row. */
  id(row: number): string;
  /** Yields all rows in order, at most `rowsPerChunk` at a time. */
  chunks(rowsPerChunk: number, signal?: AbortSignal): AsyncIterable<VectorChunk<N>>;
}

/** Vectors in one array. */
export class MemoryVectors implements VectorSource {
  readonly rows: number;
  readonly dimensions: number;
  readonly #ids: readonly string[];
  readonly #vectors: Float32Array;

  /**
   * @param vectors row-major // [ids, dimensions]
   * @throws DataError if the array does not hold one vector per id
   */
  constructor(ids: readonly string[], vectors: Float32Array, dimensions: number) {
    if (!Number.isSafeInteger(dimensions) || dimensions < 1 || vectors.length !== ids.length * dimensions) {
      throw new DataError(
        `${vectors.length} numbers do not make ${ids.length} vectors of ${dimensions} dimensions, one a document`,
        { fix: 'Encode all documents with one encoder, and pass its dimensions.' },
      );
    }
    this.rows = ids.length;
    this.dimensions = dimensions;
    this.#ids = ids;
    this.#vectors = vectors;
  }

  id(row: number): string {
    return this.#ids[row]!;
  }

  async *chunks(rowsPerChunk: number): AsyncGenerator<VectorChunk> {
    for (let start = 0; start < this.rows; start += rowsPerChunk) {
      const end = Math.min(this.rows, start + rowsPerChunk);
      yield { start, vectors: this.#vectors.slice(start * this.dimensions, end * this.dimensions) };
    }
  }
}
