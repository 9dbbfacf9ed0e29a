import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../system/index.ts';
import { fitIsotonic, valueAt } from './isotonic-regression.ts';
import { fitLogistic, logLoss, logOdds, probabilityOf } from './logistic-regression.ts';

/** From scikit-learn, by reference/gate_goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('goldens/models.json', import.meta.url), 'utf8')) as {
  logistic: {
    rows: number[][];
    labels: boolean[];
    weights: number[];
    penalty: number;
    intercept: number;
    coefficients: number[];
    probabilities: number[];
  }[];
  isotonic: { x: number[]; y: number[]; weights: number[]; asked: number[]; values: number[] }[];
};

describe('logistic regression', () => {
  it.each(goldens.logistic)('equals scikit-learn with penalty $penalty', ({ penalty, ...golden }) => {
    const model = fitLogistic(golden, penalty);
    expect(model.intercept).toBeCloseTo(golden.intercept, 7);
    for (const [at, value] of golden.coefficients.entries()) expect(model.coefficients[at]).toBeCloseTo(value, 7);
    for (const [at, value] of golden.probabilities.entries()) {
      expect(probabilityOf(logOdds(model, golden.rows[at]!))).toBeCloseTo(value, 7);
    }
  });

  it('needs both classes among the examples that weigh anything', () => {
    const rows = [[1], [2], [3]];
    expect(() => fitLogistic({ rows, labels: [true, true, false], weights: [1, 1, 0] }, 1)).toThrow(UsageError);
    expect(() => fitLogistic({ rows, labels: [true, true, false], weights: [1, 1, 1] }, 0)).toThrow(UsageError);
  });

  it('stays finite where a line separates the classes', () => {
    const rows = [[-1000], [-900], [900], [1000]];
    const { intercept, coefficients } = fitLogistic(
      { rows, labels: [false, false, true, true], weights: [1, 1, 1, 1] },
      1e-9,
    );
    expect(Number.isFinite(intercept)).toBe(true);
    expect(coefficients[0]).toBeGreaterThan(0);
    expect(Number.isFinite(coefficients[0])).toBe(true);
  });

  it('has a log loss of log 2 without knowledge, and a finite one for certain errors', () => {
    expect(logLoss([0, 0], [true, false], [1, 3])).toBeCloseTo(Math.log(2), 12);
    expect(logLoss([-2000], [true], [1])).toBe(2000);
  });
});

describe('isotonic regression', () => {
  it.each(goldens.isotonic)('equals scikit-learn', ({ x, y, weights, asked, values }) => {
    const curve = fitIsotonic(x, y, weights);
    for (const [at, value] of values.entries()) expect(valueAt(curve, asked[at]!)).toBeCloseTo(value, 10);
    expect(curve.x).toEqual([...new Set(curve.x)].sort((a, b) => a - b));
  });

  it('has no value without points', () => {
    expect(valueAt(fitIsotonic([1], [1], [0]), 1)).toBeUndefined();
  });
});
