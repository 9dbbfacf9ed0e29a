import { describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../../system/index.ts';
import { combineQueryVectors } from './query-vectors.ts';

const f32 = (...values: number[]) => Float32Array.from(values);

describe('the vector of an expanded query', () => {
  const queries = f32(1, 0, 0, 1, 3, 4);
  const expansions = f32(0, 1, 0, 3, 5, 5);

  it('is half the query and half the mean of its expansions; without any, the query', () => {
    expect(combineQueryVectors(queries, expansions, [2, 0, 1], { dimensions: 2 })).toEqual(f32(0.5, 1, 0, 1, 4, 4.5));
    expect(queries).toEqual(f32(1, 0, 0, 1, 3, 4));
  });

  it('weighs by alpha', () => {
    const at = (alpha: number) => combineQueryVectors(queries, expansions, [2, 0, 1], { dimensions: 2, alpha });
    expect(at(0)).toEqual(queries);
    expect(at(1)).toEqual(f32(0, 2, 0, 1, 5, 5));
    expect(at(0.25)).toEqual(f32(0.75, 0.5, 0, 1, 3.5, 4.25));
  });

  it('weighs the query like each of its expansions', () => {
    const mean = combineQueryVectors(queries, expansions, [2, 0, 1], { dimensions: 2, alpha: 'mean' });
    const thirds = [1 / 3, 4 / 3].map(Math.fround);
    expect([...mean.subarray(0, 2)].map((value, at) => Math.abs(value - thirds[at]!) < 1e-6)).toEqual([true, true]);
    expect([...mean.subarray(2)]).toEqual([0, 1, 4, 4.5]);
  });

  it('gets length 1 on request, and zero stays zero', () => {
    const unit = combineQueryVectors(f32(3, 4, 0, 0), f32(), [0, 0], { dimensions: 2, normalize: true });
    expect([...unit].map((value) => value.toFixed(6))).toEqual(['0.600000', '0.800000', '0.000000', '0.000000']);
  });

  it('refuses shapes that do not fit and an alpha outside 0 to 1', () => {
    expect(() => combineQueryVectors(f32(1, 2, 3), f32(), [0, 0], { dimensions: 2 })).toThrow(DataError);
    expect(() => combineQueryVectors(f32(1, 2), f32(1, 2, 3), [1], { dimensions: 2 })).toThrow(DataError);
    expect(() => combineQueryVectors(f32(1, 2), f32(1, 2), [2], { dimensions: 2 })).toThrow(DataError);
    for (const alpha of [-0.1, 1.1, Number.NaN]) {
      expect(() => combineQueryVectors(f32(1), f32(), [0], { dimensions: 1, alpha })).toThrow(UsageError);
    }
  });
});
