import { describe, expect, test } from 'vitest';
import { Parameters } from '../../nn/index.ts';
import { ModelError } from '../../system/index.ts';
import { clipFactor, findFault, GradientSum, globalNorm, isUsable } from './gradients.ts';

const gradients = (...values: number[][]) => new Map(values.map((one, n) => [`p${n}`, Float32Array.from(one)]));
const parameters = new Parameters([
  { name: 'p0', shape: [2], data: new Float32Array(2) },
  { name: 'p1', shape: [5], data: new Float32Array(5) },
]);

describe('sums of gradients', () => {
  test('add up in the arrays of the first, and start again when taken', () => {
    const sum = new GradientSum(parameters);
    const first = gradients([1, 2], [1, 1, 1, 1, 1]);
    sum.add(first);
    sum.add(gradients([10, 20], [1, 2, 3, 4, 5]));
    const taken = sum.take();
    expect([...taken.get('p0')!, ...taken.get('p1')!]).toEqual([11, 22, 2, 3, 4, 5, 6]);
    expect(taken.get('p1')).toBe(first.get('p1'));
    sum.add(gradients([5, 5], [0, 0, 0, 0, 0]));
    expect([...sum.take().get('p0')!]).toEqual([5, 5]);
  });

  test('refuse a parameter without gradient, or with one of another size', () => {
    const sum = new GradientSum(parameters);
    expect(() => sum.add(gradients([1, 2]))).toThrow('id "p1": has no gradient');
    expect(() => sum.add(gradients([1, 2], [1]))).toThrow('has 5 values, but 1 gradients');
    expect(() => sum.add(gradients([1, 2]))).toThrow(ModelError);
  });
});

describe('the global norm', () => {
  test('is that of all values together', () => {
    expect(globalNorm(gradients([3], [0, 0, 0, 4, 0, 12]))).toBe(13);
    expect(globalNorm(gradients([3e38, 3e38]))).toBeCloseTo(3e38 * Math.SQRT2, -33);
  });

  test('is not finite if a gradient is not, and the first such parameter is found', () => {
    const broken = gradients([1, 2], [1, 1, Number.NaN, 1, Number.POSITIVE_INFINITY]);
    expect(globalNorm(broken)).toBeNaN();
    expect(isUsable(globalNorm(broken), 1)).toBe(false);
    expect(findFault(broken)).toEqual({ name: 'p1', value: Number.NaN, count: 2 });
    expect(isUsable(globalNorm(gradients([Number.POSITIVE_INFINITY])), 0)).toBe(false);
  });

  test('refuses a step if it is too large for 32-bit squares, unless it is clipped', () => {
    const huge = gradients([1, 2], [0, 3e20, 0, 0, 0]);
    expect(isUsable(globalNorm(huge), 1)).toBe(false);
    expect(isUsable(globalNorm(huge), clipFactor(globalNorm(huge), 1))).toBe(true);
    expect(findFault(huge)).toMatchObject({ name: 'p1', count: 1 });
  });

  test('clips down to a limit, never up', () => {
    expect(clipFactor(20, 10)).toBeCloseTo(0.5, 6);
    expect(clipFactor(5, 10)).toBe(1);
    expect(clipFactor(0, 10)).toBe(1);
    expect(clipFactor(1e9, undefined)).toBe(1);
  });
});
