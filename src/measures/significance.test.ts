import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../system/index.ts';
import {
  bootstrapInterval,
  countEffects,
  holmCorrection,
  pairDifferences,
  pairedTTest,
  randomizationTest,
} from './significance.ts';
import { studentTwoSided } from './student-t.ts';

/** Written by reference/measure_goldens.py from scipy.stats: ttest_rel, permutation_test and bootstrap. */
interface PairedGolden {
  name: string;
  a: number[];
  b: number[];
  t: number;
  df: number;
  p: number;
  randomization: number;
  exact: boolean;
  low: number;
  high: number;
}

const { paired, student } = JSON.parse(readFileSync(new URL('./goldens/tests.json', import.meta.url), 'utf8')) as {
  paired: PairedGolden[];
  student: [t: number, df: number, p: number][];
};

describe.each(paired)('paired tests equal SciPy: $name', ({ a, b, t, df, p, randomization, exact, low, high }) => {
  it('t-test', () => {
    const test = pairedTTest(b, a);
    expect(test.df).toBe(df);
    expect(test.t / t).toBeCloseTo(1, 9);
    expect(test.p / p).toBeCloseTo(1, 8);
  });

  it('randomisation test', () => {
    const test = randomizationTest(pairDifferences(b, a), { samples: 20_000, seed: 3 });
    expect(test.exact || !exact).toBe(true); // ours also enumerates where few pairs differ
    // Four standard errors of our own draw; SciPy drew five times as often.
    const bound = exact ? 1e-12 : 4 * Math.sqrt((randomization * (1 - randomization)) / 20_000) + 1e-4;
    expect(Math.abs(test.p - randomization)).toBeLessThan(bound);
  });

  it('bootstrap interval', () => {
    const interval = bootstrapInterval(pairDifferences(b, a), { samples: 20_000, seed: 5 });
    expect(Math.abs(interval.low - low)).toBeLessThan(0.03 * (high - low));
    expect(Math.abs(interval.high - high)).toBeLessThan(0.03 * (high - low));
  });
});

it.each(student)("Student's t equals SciPy: t %f, df %i", (t, df, p) => {
  expect(Math.abs(studentTwoSided(t, df) - p)).toBeLessThanOrEqual(1e-9 * p);
});

describe('degenerate pairs', () => {
  it('all differences 0: no evidence', () => {
    expect(pairedTTest([0.5, 0.2], [0.5, 0.2])).toEqual({ meanDifference: 0, t: 0, df: 1, p: 1 });
    expect(randomizationTest([0, 0])).toEqual({ meanDifference: 0, p: 1, exact: true, samples: 1 });
    expect(bootstrapInterval([0, 0])).toMatchObject({ low: 0, high: 0 });
  });

  it('differences by rounding alone: no evidence', () => {
    const third = [0.1, 0.7, 0.3].map((value) => (value + value + value) / 3);
    const differences = pairDifferences(third, [0.1, 0.7, 0.3]);
    expect([...differences]).toEqual([0, 0, 0]);
    expect(randomizationTest(differences).p).toBe(1);
  });

  it('one pair: no evidence', () => {
    expect(pairedTTest([0.75], [0.25])).toEqual({ meanDifference: 0.5, t: 0, df: 0, p: 1 });
    expect(randomizationTest([0.5])).toMatchObject({ p: 1, exact: true });
    expect(bootstrapInterval([0.5])).toMatchObject({ low: 0.5, high: 0.5 });
  });

  it('equal differences: certain', () => {
    expect(pairedTTest([0.5, 0.5, 0.5], [0, 0, 0])).toMatchObject({ t: Number.POSITIVE_INFINITY, p: 0 });
    expect(pairedTTest([0, 0], [0.5, 0.5])).toMatchObject({ t: Number.NEGATIVE_INFINITY, p: 0 });
    expect(randomizationTest([0.5, 0.5, 0.5]).p).toBe(2 / 8);
  });

  it.each([
    ['no pairs', [], []],
    ['lengths that differ', [1], [1, 2]],
    ['values that are not finite', [Number.NaN], [1]],
  ])('refuses %s', (_what, values, baseline) => {
    expect(() => pairedTTest(values, baseline)).toThrow(UsageError);
  });

  it.each([
    ['no differences', []],
    ['differences that are not finite', [0, Number.POSITIVE_INFINITY]],
  ])('refuses %s', (_what, differences) => {
    for (const test of [randomizationTest, bootstrapInterval, countEffects]) {
      expect(() => test(differences)).toThrow(UsageError);
    }
  });

  it('refuses invalid options', () => {
    const many = Array.from({ length: 20 }, (_, place) => place + 1);
    expect(() => randomizationTest(many, { samples: 0 })).toThrow(UsageError);
    expect(() => bootstrapInterval(many, { confidence: 1 })).toThrow(UsageError);
  });
});

describe('resampling', () => {
  const differences = Array.from({ length: 40 }, (_, place) => ((place % 5) - (place % 7) + 1.2) / 10);

  it('repeats with its seed and differs with another', () => {
    expect(randomizationTest(differences, { seed: 1 })).toEqual(randomizationTest(differences, { seed: 1 }));
    expect(randomizationTest(differences, { seed: 1 }).p).not.toBe(randomizationTest(differences, { seed: 2 }).p);
    expect(bootstrapInterval(differences, { seed: 1 })).toEqual(bootstrapInterval(differences, { seed: 1 }));
  });

  it('never gives a drawn p of 0', () => {
    const far = differences.map((value) => value + 1);
    expect(randomizationTest(far, { samples: 999 }).p).toBeCloseTo(1 / 1000, 12);
  });

  it('leaves pairs without a difference out of the enumeration', () => {
    const same = Array.from({ length: 30 }, () => 0);
    expect(randomizationTest([...same, 1, 1])).toMatchObject({ exact: true, samples: 4, p: 2 / 4 });
  });
});

describe('the bounds of a test', () => {
  it('up to 12 changed queries are enumerated, 13 are drawn', () => {
    const changes = (count: number) => Array.from({ length: count }, (_none, at) => at + 1);
    expect(randomizationTest(changes(12))).toMatchObject({ exact: true, samples: 4096, meanDifference: 6.5 });
    expect(randomizationTest(changes(13), { samples: 50 })).toMatchObject({
      exact: false,
      samples: 50,
      meanDifference: 7,
    });
  });

  it('a pattern as far from 0 as the observed one counts, and is drawn once', () => {
    // Six times 1 and seven times -1: every sum is odd, and so at least as far from 0 as -1.
    const changes = Array.from({ length: 13 }, (_none, at) => (at < 6 ? 1 : -1));
    expect(randomizationTest(changes, { samples: 200 }).p).toBe(1);
  });

  it('the size of the changes does not matter', () => {
    const changes = [0.1, 0.2, 0.3, -0.25, 0.05];
    const { p } = randomizationTest(changes);
    expect(p).toBeLessThan(1);
    for (const scale of [1e-9, 1e9]) expect(randomizationTest(changes.map((one) => one * scale)).p).toBe(p);
  });

  it('an interval lies between the two means that were drawn, at the share that its confidence says', () => {
    const changes = [0, 1, 2, 3, 10];
    const [only, seed] = [(at: number) => bootstrapInterval(changes, { samples: 1, seed: at }), 3];
    expect(only(seed).low).toBe(only(seed).high);
    const first = only(seed).low;
    const wide = bootstrapInterval(changes, { samples: 2, seed });
    const second = wide.low + wide.high - first;
    expect(second).not.toBeCloseTo(first, 6);
    const [low, high] = [Math.min(first, second), Math.max(first, second)];
    for (const confidence of [0.95, 0.5, 0.1]) {
      const interval = bootstrapInterval(changes, { samples: 2, seed, confidence });
      const tail = (1 - confidence) / 2;
      expect(interval.low).toBeCloseTo(low + tail * (high - low), 12);
      expect(interval.high).toBeCloseTo(high - tail * (high - low), 12);
    }
    for (const confidence of [0, 1]) expect(() => bootstrapInterval(changes, { confidence })).toThrow(UsageError);
  });

  it('a change equal to the tolerance counts as none, and so does rounding', () => {
    expect(countEffects([0.25, -0.25, 0.26, -0.26], 0.25)).toEqual({ helped: 1, hurt: 1, unchanged: 2 });
    expect([...pairDifferences([1e-12, 2e-12], [0, 0])]).toEqual([0, 2e-12]);
  });
});

describe('holmCorrection', () => {
  it('multiplies, keeps the order and never falls', () => {
    expect(holmCorrection([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02]);
    expect(holmCorrection([0.9, 0.8])).toEqual([1, 1]);
    expect(holmCorrection([])).toEqual([]);
  });
});

describe('countEffects', () => {
  it('counts moves beyond the tolerance', () => {
    expect(countEffects([0.1, -0.1, 1e-12, 0])).toEqual({
      helped: 1,
      hurt: 1,
      unchanged: 2,
    });
    expect(countEffects([0.05, -0.2], 0.1)).toEqual({ helped: 0, hurt: 1, unchanged: 1 });
  });
});
