import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { combineEffects, type MetaAnalysis, type StudyEffect } from './meta-analysis.ts';
import { studentTwoSided } from './student-t.ts';

interface Golden {
  name: string;
  studies: StudyEffect[];
  golden: MetaAnalysis;
}

/** From statsmodels: reference/meta_analysis.py. */
const GOLDENS: Golden[] = JSON.parse(
  readFileSync(new URL('./goldens/meta-analysis.json', import.meta.url), 'utf8'),
) as Golden[];

describe('combineEffects', () => {
  it.each(GOLDENS)('$name: equals statsmodels', ({ studies, golden }) => {
    const { interval, prediction, ...numbers } = combineEffects(studies)!;
    const flat = { ...numbers, low: interval.low, high: interval.high, ...prefixed(prediction) };
    const { interval: goldenInterval, prediction: goldenPrediction, ...goldenNumbers } = golden;
    const plain = { ...goldenNumbers, ...goldenInterval, ...prefixed(goldenPrediction) };
    const expected = { ...plain, ...floored(golden, studies) };
    expect(Object.keys(flat).sort()).toEqual(Object.keys(expected).sort());
    for (const [name, value] of Object.entries(expected)) {
      const found = flat[name as keyof typeof flat] as number;
      expect(Math.abs(found - value), name).toBeLessThanOrEqual(1e-9 * Math.max(1e-3, Math.abs(value)));
    }
  });

  it('gives equal effects the interval of their sampling, not one without a width', () => {
    const { standardError, interval, p } = combineEffects(Array(3).fill({ effect: 0.02, variance: 3e-4 }))!;
    expect(standardError).toBeCloseTo(0.01, 12);
    // Student's t of 0.975 with two degrees of freedom.
    expect(interval.high - interval.low).toBeCloseTo(2 * 4.302652729911275 * 0.01, 9);
    // 1 - t / sqrt(t² + 2) for t = 2.
    expect(p).toBeCloseTo(1 - 2 / Math.sqrt(6), 9);
  });

  it('needs two studies, and a positive variance of each', () => {
    expect(combineEffects([{ effect: 0.1, variance: 1e-4 }])).toBeUndefined();
    expect(() => combineEffects([{ effect: 0.1, variance: 0 }])).toThrow('variance 0');
  });
});

/** statsmodels lacks the floor of the factor at 1; where its factor is smaller, these numbers follow from the variances. */
function floored({ effect, standardError, interval, tauSquared }: MetaAnalysis, studies: readonly StudyEffect[]) {
  const least = 1 / Math.sqrt(studies.reduce((sum, { variance }) => sum + 1 / (variance + tauSquared), 0));
  if (standardError >= least) return {};
  const half = ((interval.high - interval.low) / 2) * (least / standardError);
  const p = studentTwoSided(effect / least, studies.length - 1);
  return { standardError: least, low: effect - half, high: effect + half, p };
}

function prefixed(interval: { low: number; high: number } | undefined) {
  return interval === undefined ? {} : { predictedLow: interval.low, predictedHigh: interval.high };
}
