import { describe, expect, it } from 'vitest';
import { kendallTau } from './kendall-tau.ts';

describe('kendallTau', () => {
  // scipy.stats.kendalltau 1.17.1, variant b.
  it.each([
    [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], 1],
    [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5], 0.2],
    [[1, 2, 2, 4, 5, 5], [1, 3, 2, 4, 4, 6], 0.8894991799933215],
    [[1, 1, 1, 2], [4, 3, 2, 1], -0.7071067811865477],
    [[12, 2, 1, 12, 2], [1, 4, 7, 1, 0], -0.4714045207910316],
  ])('of %j and %j is %d', (a, b, expected) => {
    expect(kendallTau(a, b)).toBeCloseTo(expected, 12);
  });

  it('is undefined for a ranking without order', () => {
    expect(kendallTau([1, 1, 1], [1, 2, 3])).toBeUndefined();
    expect(kendallTau([1, 2, 3], [1, 1, 1])).toBeUndefined();
    expect(kendallTau([1], [1])).toBeUndefined();
  });
});
