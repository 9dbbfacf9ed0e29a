import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../system/index.ts';
import { shareTest, shareUpperBound } from './binomial-bound.ts';
import { rankBiasedOverlap } from './rank-biased-overlap.ts';

/** From SciPy (bounds), and from the definition summed to infinity (overlap), by reference/gate_goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('goldens/bounds.json', import.meta.url), 'utf8')) as {
  bounds: [count: number, total: number, confidence: number, bound: number][];
  overlap: { a: string[]; b: string[]; p: number; value: number }[];
};

describe('the upper bound of a share', () => {
  it("equals SciPy's one-sided exact bound", () => {
    for (const [count, total, confidence, bound] of goldens.bounds) {
      expect(shareUpperBound(count, total, confidence)).toBeCloseTo(bound, 10);
    }
    expect(shareUpperBound(3, 50)).toBe(shareUpperBound(3, 50, 0.95));
  });

  it('is 1 without draws, and refuses what is no count', () => {
    expect(shareUpperBound(0, 0)).toBe(1);
    for (const [count, total, confidence] of [
      [2, 1, 0.95],
      [-1, 1, 0.95],
      [0.5, 1, 0.95],
      [0, 1, 1],
    ] as const) {
      expect(() => shareUpperBound(count, total, confidence)).toThrow(UsageError);
    }
  });
});

describe('the test of a share', () => {
  it('agrees with the bound: p is 1 minus the confidence at the bound', () => {
    for (const [count, total, confidence, bound] of goldens.bounds) {
      if (bound < 1) expect(shareTest(count, total, bound)).toBeCloseTo(1 - confidence, 8);
    }
  });

  it('is the probability of so few hits', () => {
    // (1 - 0.1)^10, and that plus 10 times 0.1 times 0.9^9.
    expect(shareTest(0, 10, 0.1)).toBeCloseTo(0.9 ** 10, 12);
    expect(shareTest(1, 10, 0.1)).toBeCloseTo(0.9 ** 10 + 0.9 ** 9, 12);
    expect([shareTest(10, 10, 0.1), shareTest(0, 0, 0.1)]).toEqual([1, 1]);
    for (const [count, total, share] of [
      [2, 1, 0.1],
      [0, 1, 0],
      [0, 1, 1],
      [0.5, 1, 0.1],
    ] as const) {
      expect(() => shareTest(count, total, share)).toThrow(UsageError);
    }
  });
});

describe('rank-biased overlap', () => {
  it('equals the sum of its definition', () => {
    for (const { a, b, p, value } of goldens.overlap) expect(rankBiasedOverlap(a, b, { p })).toBeCloseTo(value, 10);
  });

  it('compares the places that both rankings have, to the depth', () => {
    expect(rankBiasedOverlap(['a', 'b', 'c'], ['a', 'b', 'd'], { depth: 2 })).toBeCloseTo(1, 12);
    expect(rankBiasedOverlap(['a', 'b', 'c'], ['a', 'b'])).toBeCloseTo(1, 12);
    expect(rankBiasedOverlap(['a', 'b'], ['b', 'a'], { p: 0.5 })).toBeCloseTo(0.5, 12);
  });

  it('is 1 for two empty rankings, 0 for one', () => {
    expect([rankBiasedOverlap([], []), rankBiasedOverlap(['a'], []), rankBiasedOverlap([], ['a'])]).toEqual([1, 0, 0]);
    expect(() => rankBiasedOverlap(['a'], ['a'], { p: 1 })).toThrow(UsageError);
  });
});
