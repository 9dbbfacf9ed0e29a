import { describe, expect, it } from 'vitest';
import { meanByQuery, pairedTests } from './paired-tests.ts';

const values = (...numbers: number[]) => new Map(numbers.map((value, at) => [`q${at}`, value]));

describe('paired tests of arms', () => {
  const arms = new Map([
    ['raw', values(0, 0, 0, 0, 0, 0, 0, 0)],
    ['zeroShot', values(0.1, 0, 0.2, 0, 0.1, 0, 0.3, 0)],
    ['aligned', values(0.5, 0.4, 0.6, 0.3, 0.5, 0.4, 0.7, 0)],
  ]);
  const tests = pairedTests(
    arms,
    [
      ['aligned', 'zeroShot'],
      ['zeroShot', 'raw'],
    ],
    { measure: 'nDCG@10', seed: 1 },
  );

  it('give delta and counts by hand', () => {
    expect(tests[0]!.delta).toBeCloseTo((0.4 + 0.4 + 0.4 + 0.3 + 0.4 + 0.4 + 0.4 + 0) / 8, 12);
    expect(tests[0]).toMatchObject({
      arm: 'aligned',
      baseline: 'zeroShot',
      measure: 'nDCG@10',
      helped: 7,
      hurt: 0,
      unchanged: 1,
    });
    expect(tests[1]).toMatchObject({ helped: 4, hurt: 0, unchanged: 4 });
  });

  it('are corrected for their number', () => {
    // All signs of 7 and of 4 changes: 2 of 2^7 patterns, and 2 of 2^4, are as far from 0.
    expect(tests[0]!.randomization).toBeCloseTo(2 / 128, 6);
    expect(tests[1]!.randomization).toBeCloseTo(2 / 16, 6);
    expect(tests[0]!.holm).toBeCloseTo(4 / 128, 6);
    expect(tests[1]!.holm).toBeCloseTo(2 / 16, 6);
  });

  it('have an interval around the change', () => {
    const [low, high] = tests[0]!.interval;
    expect(low).toBeGreaterThan(0);
    expect(low).toBeLessThan(tests[0]!.delta);
    expect(high).toBeGreaterThan(tests[0]!.delta);
  });
});

it('a query counts by its mean over seeds', () => {
  expect(meanByQuery([values(0, 1), values(1, 1), values(0.5, 0)])).toEqual(values(0.5, 2 / 3));
  expect(meanByQuery([])).toEqual(new Map());
});
