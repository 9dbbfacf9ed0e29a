import { describe, expect, test } from 'vitest';
import { UsageError } from '../system/index.ts';
import { Parameters } from './parameters.ts';

const made = () =>
  new Parameters([
    { name: 'weight', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    { name: 'bias', shape: [2], data: Float32Array.of(7, 8) },
  ]);

describe('Parameters', () => {
  test('keeps the order of names, shapes, sizes and values', () => {
    const parameters = made();
    expect(parameters.names()).toEqual(['weight', 'bias']);
    expect(parameters.shape('weight')).toEqual([2, 3]);
    expect([parameters.size('weight'), parameters.size('bias'), parameters.total]).toEqual([6, 2, 8]);
    expect([...parameters.get('bias')]).toEqual([7, 8]);
    expect([parameters.has('bias'), parameters.has('scale')]).toEqual([true, false]);
  });

  test('takes another array without a copy, at the same place in the order', () => {
    const parameters = made();
    const data = Float32Array.of(1, 1, 1, 1, 1, 1);
    parameters.set('weight', data);
    expect(parameters.get('weight')).toBe(data);
    expect(parameters.names()).toEqual(['weight', 'bias']);
  });

  test('refuses what does not fit', () => {
    const one = { name: 'a', shape: [1], data: new Float32Array(1) };
    expect(() => new Parameters([one, one])).toThrow('two parameters have this name');
    expect(() => new Parameters([{ ...one, shape: [2] }])).toThrow('1 values do not fill the shape [2]');
    expect(() => made().set('bias', new Float32Array(3))).toThrow('3 values do not fill the shape [2]');
    expect(() => made().get('scale')).toThrow(UsageError);
    expect(() => made().shape('scale')).toThrow('there is no such parameter');
  });
});
