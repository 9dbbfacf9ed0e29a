import type { SparseRows } from '../bm25/sparse-rows.ts';
import type { EngineContent } from './engine.ts';
import { denseForm, type RowForm, SPARSE_FORM } from './engine-form.ts';

/** How rows are stored in a table. */
export interface PostgresForm<V> extends RowForm<V> {
  /** The type in which vectors are sent. */
  sent: 'vector' | 'sparsevec';
  /** The type of the column. */
  stored: 'vector' | 'halfvec' | 'sparsevec';
  /** Vectors as the binary form of an array. @param type the number of the sent type in this database */
  array(rows: V, type: number): Buffer;
}

export function postgresDense(content: EngineContent): PostgresForm<Float32Array> {
  return {
    ...denseForm(content),
    sent: 'vector',
    stored: content.format === 'f16' ? 'halfvec' : 'vector',
    array: (rows, type) => vectorArray(rows, content.dimensions, type),
  };
}

export function postgresSparse({ dimensions }: EngineContent): PostgresForm<SparseRows> {
  return {
    ...SPARSE_FORM,
    ...{ sent: 'sparsevec', stored: 'sparsevec', array: (rows, type) => sparseArray(rows, dimensions, type) },
  };
}

/**
 * Writes vectors as the binary form of a PostgreSQL array of pgvector's `vector`: an array header (dimensions of the array, nulls,
 * type, length, first subscript), then for each element its bytes, its dimensions, two unused bytes, and big-endian floats
 * (`array_send` of PostgreSQL, `vector_send` of pgvector). It is exact, and smaller than the numbers as text.
 * @param vectors row-major // [rows, dimensions]
 * @param type the number of the type `vector` in this database
 */
export function vectorArray(vectors: Float32Array, dimensions: number, type: number): Buffer {
  const rows = vectors.length / dimensions;
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + rows * (8 + 4 * dimensions));
  let at = writeHead(bytes, rows, type);
  for (let row = 0; row < rows; row++) {
    bytes.writeInt32BE(4 + 4 * dimensions, at);
    bytes.writeInt32BE(dimensions << 16, at + 4);
    at += 8;
    for (let column = 0; column < dimensions; column++, at += 4) {
      bytes.writeFloatBE(vectors[row * dimensions + column]!, at);
    }
  }
  return bytes;
}

/** Bytes before the first element of an array of one dimension. */
const HEAD_BYTES = 20;

/** Returns where the first element begins. */
function writeHead(bytes: Buffer, rows: number, type: number): number {
  for (const [at, value] of [1, 0, type, rows, 1].entries()) bytes.writeInt32BE(value, 4 * at);
  return HEAD_BYTES;
}

/**
 * Writes sparse vectors in the same way: each is its dimensions, its number of terms, an unused number, the terms in ascending order, and
 * their weights (`sparsevec_send`).
 */
function sparseArray(vectors: SparseRows, dimensions: number, type: number): Buffer {
  const { starts, terms, weights } = vectors;
  const rows = starts.length - 1;
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + rows * 16 + 8 * terms.length);
  let at = writeHead(bytes, rows, type);
  const write = (value: number) => {
    at = bytes.writeInt32BE(value, at);
  };
  for (let row = 0; row < rows; row++) {
    const places = Array.from({ length: starts[row + 1]! - starts[row]! }, (_none, place) => starts[row]! + place);
    places.sort((one, other) => terms[one]! - terms[other]!);
    write(12 + 8 * places.length);
    for (const value of [dimensions, places.length, 0]) write(value);
    for (const place of places) write(terms[place]!);
    for (const place of places) at = bytes.writeFloatBE(weights[place]!, at);
  }
  return bytes;
}

/** Reads an array of numbers without nulls in PostgreSQL's text form: `{1,2.5}`. */
export function numberArray(text: string): number[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',').map(Number);
}
