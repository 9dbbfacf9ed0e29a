import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { combineEffects, type MetaAnalysis, type StudyEffect } from './meta-analysis.ts';

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
    const expected = { ...goldenNumbers, ...goldenInterval, ...prefixed(goldenPrediction) };
    expect(Object.keys(flat).sort()).toEqual(Object.keys(expected).sort());
    for (const [name, value] of Object.entries(expected)) {
      const found = flat[name as keyof typeof flat] as number;
      expect(Math.abs(found - value), name).toBeLessThanOrEqual(1e-9 * Math.max(1e-3, Math.abs(value)));
    }
  });

  it('needs two studies, and a positive variance of each', () => {
    expect(combineEffects([{ effect: 0.1, variance: 1e-4 }])).toBeUndefined();
    expect(() => combineEffects([{ effect: 0.1, variance: 0 }])).toThrow('variance 0');
  });
});

function prefixed(interval: { low: number; high: number } | undefined) {
  return interval === undefined ? {} : { predictedLow: interval.low, predictedHigh: interval.high };
}
