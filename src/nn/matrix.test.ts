import { expect, test } from 'vitest';
import { Random } from '../system/index.ts';
import { BLOCK, halves, quantizeBlocks, quantizeColumns, quantizeRows, sideBySide, transposed } from './matrix.ts';

test('transposes, and puts side by side', () => {
  const matrix = Float32Array.of(1, 2, 3, 4, 5, 6);
  expect([...transposed(matrix, 2, 3)]).toEqual([1, 4, 2, 5, 3, 6]);
  expect([...sideBySide([matrix, Float32Array.of(7, 8, 9, 10, 11, 12)], 2)]).toEqual([
    ...[1, 2, 3, 7, 8, 9],
    ...[4, 5, 6, 10, 11, 12],
  ]);
});

test('quantised columns equal the matrix within half a step, also for a column of zeros', () => {
  const random = new Random(3);
  const matrix = Float32Array.from({ length: 50 * 4 }, (_, index) => (index % 4 === 3 ? 0 : random.normal()));
  const { values, scale } = quantizeColumns(matrix, 4);
  matrix.forEach((value, index) => {
    const step = scale[index % 4]!;
    expect(Math.abs(values[index]! * step - value)).toBeLessThanOrEqual(step / 2 + 1e-6);
  });
  expect(Math.max(...values)).toBeLessThanOrEqual(127);
  expect(Math.min(...values)).toBeGreaterThanOrEqual(-127);
});

test('quantised rows equal the matrix within half a step, also for a row of zeros', () => {
  const random = new Random(4);
  const matrix = Float32Array.from({ length: 5 * 16 }, (_, index) => (index < 16 ? 0 : random.normal()));
  const { values, scale } = quantizeRows(matrix, 16);
  expect([...values.subarray(0, 16)]).toEqual(new Array(16).fill(0));
  matrix.forEach((value, index) => {
    const step = scale[Math.floor(index / 16)]!;
    expect(Math.abs(values[index]! * step - value)).toBeLessThanOrEqual(step / 2 + 1e-6);
  });
});

test('blocks of four bits equal the matrix within half a step, and 0 exactly', () => {
  const random = new Random(5);
  const shifts = [0, 5, -5, 0];
  const matrix = Float32Array.from({ length: 4 * BLOCK }, (_, index) => {
    const block = Math.floor(index / BLOCK);
    return block === 3 || index % BLOCK === 7 ? 0 : random.normal() + shifts[block]!;
  });
  const { values, scale, zero } = quantizeBlocks(matrix);
  const bitsAt = (bytes: Uint8Array, index: number) => (bytes[index >> 1]! >> (index % 2 === 0 ? 0 : 4)) & 15;
  matrix.forEach((value, index) => {
    const block = Math.floor(index / BLOCK);
    const found = (bitsAt(values, index) - bitsAt(zero, block)) * scale[block]!;
    if (value === 0) expect(found).toBe(0);
    // The zero point is rounded too, so the outermost values may be clipped by half a step.
    expect(Math.abs(found - value)).toBeLessThanOrEqual(scale[block]! * 1.001);
  });
});

test('half-precision numbers follow IEEE 754', () => {
  // 1, -2, the largest number, the smallest one, one that rounds up to infinity, and a tie that rounds to even.
  const numbers = Float32Array.of(1, -2, 65504, 2 ** -24, 65520, 1 + 2 ** -11);
  expect([...halves(numbers)]).toEqual([0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x3c00]);
});
