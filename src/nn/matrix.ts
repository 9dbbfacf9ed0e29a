import { ENCODERS } from '../models/index.ts';

/** Returns the transpose of a row-major matrix // [rows, columns] → [columns, rows] */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = matrix[row * columns + column]!;
  }
  return result;
}

/** Joins row-major matrices of equal height side by side // n × [rows, columns] → [rows, n · columns] */
export function sideBySide(matrices: readonly Float32Array[], rows: number): Float32Array {
  const columns = matrices[0]!.length / rows;
  const width = columns * matrices.length;
  const result = new Float32Array(rows * width);
  matrices.forEach((matrix, index) => {
    for (let row = 0; row < rows; row++) {
      result.set(matrix.subarray(row * columns, (row + 1) * columns), row * width + index * columns);
    }
  });
  return result;
}

/**
 * Quantises to symmetric signed bytes with one scale per column: `values[i, j] · scale[j]` equals `matrix[i, j]` within
 * half a step.
 * // [rows, columns] → values [rows, columns], scale [columns]
 */
export function quantizeColumns(matrix: Float32Array, columns: number): { values: Int8Array; scale: Float32Array } {
  const scale = new Float32Array(columns);
  for (let index = 0; index < matrix.length; index++) {
    const size = Math.abs(matrix[index]!);
    if (size > scale[index % columns]!) scale[index % columns] = size;
  }
  for (let column = 0; column < columns; column++) scale[column] = scale[column]! / 127 || 1;
  const values = new Int8Array(matrix.length);
  for (let index = 0; index < matrix.length; index++) {
    values[index] = Math.round(matrix[index]! / scale[index % columns]!);
  }
  return { values, scale };
}

/** {@link quantizeColumns} with one scale per row // [rows, columns] → values [rows, columns], scale [rows] */
export function quantizeRows(matrix: Float32Array, columns: number): { values: Int8Array; scale: Float32Array } {
  const scale = new Float32Array(matrix.length / columns);
  const values = new Int8Array(matrix.length);
  for (let row = 0; row < scale.length; row++) {
    const numbers = matrix.subarray(row * columns, (row + 1) * columns);
    scale[row] = largestSize(numbers) / 127 || 1;
    for (let column = 0; column < columns; column++) {
      values[row * columns + column] = Math.round(numbers[column]! / scale[row]!);
    }
  }
  return { values, scale };
}

function largestSize(numbers: Float32Array): number {
  let largest = 0;
  for (const number of numbers) if (Math.abs(number) > largest) largest = Math.abs(number);
  return largest;
}

/** How many numbers share a scale and a zero point in {@link quantizeBlocks}. */
export const BLOCK = 32;

/** Four bits per number, two numbers per byte, the first in the lower half. */
export interface QuantizedBlocks {
  values: Uint8Array;
  /** One per block. */
  scale: Float32Array;
  /** The zero point: which of the 16 steps means 0. One per block, packed like the values. */
  zero: Uint8Array;
}

/**
 * Quantises to unsigned four-bit steps from the smallest to the largest number of each block of 32; the range always
 * includes 0. `(value - zero) · scale` equals the number within half a step, and within one step at the ends of the
 * range.
 * @param matrix must have an even number of blocks
 */
export function quantizeBlocks(matrix: Float32Array): QuantizedBlocks {
  const blocks = matrix.length / BLOCK;
  const scale = new Float32Array(blocks);
  const [values, zero] = [new Uint8Array(matrix.length / 2), new Uint8Array(blocks / 2)];
  for (let block = 0; block < blocks; block++) {
    const start = block * BLOCK;
    let [low, high] = [0, 0];
    for (let index = start; index < start + BLOCK; index++) {
      const number = matrix[index]!;
      if (number < low) low = number;
      else if (number > high) high = number;
    }
    scale[block] = (high - low) / 15 || 1;
    const step = scale[block]!;
    const origin = Math.round(-low / step);
    putFourBits(zero, block, origin);
    for (let index = start; index < start + BLOCK; index++) {
      putFourBits(values, index, Math.min(15, Math.max(0, Math.round(matrix[index]! / step) + origin)));
    }
  }
  return { values, scale, zero };
}

function putFourBits(bytes: Uint8Array, index: number, bits: number): void {
  bytes[index >> 1]! |= index % 2 === 0 ? bits : bits << 4;
}

/** Converts to the bits of IEEE 754 half precision, rounded to nearest, ties to even. */
export function halves(numbers: Float32Array): Uint16Array {
  const bytes = ENCODERS.F16.encode(numbers);
  return new Uint16Array(bytes.buffer, bytes.byteOffset, numbers.length);
}
