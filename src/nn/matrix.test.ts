import { expect, test } from 'vitest';
import { Random } from '../system/index.ts';
import { quantizeColumns, sideBySide, transposed } from './matrix.ts';

test('transposed and side by side', () => {
  const matrix = Float32Array.of(1, 2, 3, 4, 5, 6);
  expect([...transposed(matrix, 2, 3)]).toEqual([1, 4, 2, 5, 3, 6]);
  expect([...sideBySide([matrix, Float32Array.of(7, 8, 9, 10, 11, 12)], 2)]).toEqual([
    ...[1, 2, 3, 7, 8, 9],
    ...[4, 5, 6, 10, 11, 12],
  ]);
});

test('quantised columns stand for the matrix to half a step, a column of zeros included', () => {
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
