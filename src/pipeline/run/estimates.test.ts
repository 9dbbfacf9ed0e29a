import { expect, test } from 'vitest';
import { many } from './estimates.ts';

test('a plan counts in words', () => {
  expect([many(1, 'seed'), many(6400, 'candidate'), many(2, 'search', 'searches')]).toEqual([
    ...['1 seed', '6,400 candidates', '2 searches'],
  ]);
  expect(many(Number.POSITIVE_INFINITY, 'dev query')).toBe('an unknown number of dev queries');
});
