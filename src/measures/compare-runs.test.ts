import { describe, expect, it } from 'vitest';
import { compareRuns } from './compare-runs.ts';
import type { Qrels, Run } from './records.ts';

const QRELS: Qrels = new Map(['q1', 'q2', 'q3', 'q4'].map((query) => [query, new Map([['good', 1]])]));

/** A run that has the relevant document at the rank given for each query. */
function runWithRanks(ranks: Record<string, number>): Run {
  const hits = (rank: number) =>
    Array.from({ length: rank }, (_, place) => ({ id: place === rank - 1 ? 'good' : `d${place}`, score: -place }));
  return new Map(Object.entries(ranks).map(([query, rank]) => [query, hits(rank)]));
}

const MRR = { measure: 'MRR' };

describe('compareRuns', () => {
  it('says how B differs from A, query by query', () => {
    const a = runWithRanks({ q1: 2, q2: 1, q3: 4 });
    const b = runWithRanks({ q3: 1, q2: 2, q1: 2 });
    const comparison = compareRuns(QRELS, a, b, MRR);
    expect(comparison).toMatchObject({ queries: 3, helped: 1, hurt: 1, unchanged: 1, delta: expect.closeTo(0.25 / 3) });
    expect(comparison.meanA).toBeCloseTo((0.5 + 1 + 0.25) / 3);
    expect(comparison.tTest.meanDifference).toBeCloseTo(comparison.delta);
    expect(comparison.changes.map(({ query, delta }) => [query, delta])).toEqual([
      ['q3', 0.75],
      ['q1', 0],
      ['q2', -0.5],
    ]);
    expect(comparison.randomization).toMatchObject({ exact: true, p: 1 });
    expect(comparison.interval.low).toBeLessThan(comparison.interval.high);
  });

  it('takes the mean over several runs of one system as the value of a query', () => {
    const seeds = [runWithRanks({ q1: 1, q2: 2 }), runWithRanks({ q1: 2, q2: 4 })];
    const comparison = compareRuns(QRELS, runWithRanks({ q1: 1, q2: 1 }), seeds, MRR);
    expect(comparison).toMatchObject({ queries: 2, meanA: 1, meanB: (0.75 + 0.375) / 2, hurt: 2 });
    expect(comparison.changes.map(({ b }) => b)).toEqual([0.75, 0.375]);
    const unlike = [runWithRanks({ q1: 1, q2: 1 }), runWithRanks({ q1: 2 })];
    expect(() => compareRuns(QRELS, unlike, unlike, MRR)).toThrow(/"q2": runs of one system/);
    expect(compareRuns(QRELS, unlike, unlike, { ...MRR, missing: 'zero' })).toMatchObject({ meanA: (0.75 + 0.5) / 2 });
    expect(compareRuns(QRELS, unlike, unlike, { ...MRR, missing: 'common' })).toMatchObject({ queries: 1 });
  });

  it('refuses runs over different queries, unless a rule for missing ones is given', () => {
    const a = runWithRanks({ q1: 1, q2: 1 });
    const b = runWithRanks({ q2: 2, q3: 1 });
    expect(() => compareRuns(QRELS, a, b, MRR)).toThrow(/run A lacks 1 .* run B 1/);
    const both = runWithRanks({ q1: 1, q2: 1, q3: 1 });
    expect(() => compareRuns(QRELS, a, both, MRR)).toThrow(/"q3".*run A lacks 1 .* run B 0/);
    expect(() => compareRuns(QRELS, both, a, MRR)).toThrow(/"q3".*run A lacks 0 .* run B 1/);
    const zero = compareRuns(QRELS, a, b, { ...MRR, missing: 'zero' });
    expect(zero).toMatchObject({ queries: 3, meanA: 2 / 3, meanB: 0.5, missingInA: ['q3'], missingInB: ['q1'] });
    expect(compareRuns(QRELS, a, b, { ...MRR, missing: 'common' })).toMatchObject({ queries: 1, meanA: 1, meanB: 0.5 });
  });

  it('ignores queries that are not judged, or that both runs lack', () => {
    const comparison = compareRuns(QRELS, runWithRanks({ q1: 1, x: 1 }), runWithRanks({ q1: 2 }), MRR);
    expect(comparison).toMatchObject({ queries: 1, missingInA: [], missingInB: [] });
  });

  it('refuses runs that share nothing', () => {
    const [a, b] = [runWithRanks({ q1: 1 }), runWithRanks({ q2: 1 })];
    expect(() => compareRuns(QRELS, a, b, { ...MRR, missing: 'common' })).toThrow(/share no judged query/);
  });
});
