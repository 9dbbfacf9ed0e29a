import { describe, expect, it } from 'vitest';
import type { Run } from '../measures/index.ts';
import { DataError, UsageError } from '../system/index.ts';
import { fuseRuns } from './fusion.ts';

function run(hits: Record<string, number>, query = 'q'): Run {
  return new Map([[query, Object.entries(hits).map(([id, score]) => ({ id, score }))]]);
}

describe('reciprocal-rank fusion', () => {
  it('adds 1 / (60 + rank) over the runs', () => {
    const fused = fuseRuns([run({ a: 9, b: 8, c: 7 }), run({ c: 0.3, a: 0.2 })]).get('q')!;
    expect(fused).toEqual([
      { id: 'a', score: 1 / 61 + 1 / 62 },
      { id: 'c', score: 1 / 63 + 1 / 61 },
      { id: 'b', score: 1 / 62 },
    ]);
  });

  it('ranks equal scores by id descending, as 32-bit floats, whatever the order of the hits', () => {
    const fused = fuseRuns([run({ a: 1, c: 1 + 1e-12, b: 1 })]).get('q')!;
    expect(fused.map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    const tied = fuseRuns([run({ a: 2, b: 1 }), run({ b: 2, a: 1 })]).get('q')!;
    expect(tied.map(({ id }) => id)).toEqual(['b', 'a']);
  });

  it('counts and keeps hits to the depth', () => {
    const fused = fuseRuns([run({ a: 3, b: 2, c: 1 }), run({ c: 3, b: 2, a: 1 })], { depth: 1 }).get('q')!;
    expect(fused).toEqual([{ id: 'c', score: 1 / 61 }]);
  });

  it('holds the queries of all runs, also those without hits', () => {
    const fused = fuseRuns([run({ a: 1 }, 'one'), run({}, 'two')]);
    expect([...fused.keys()]).toEqual(['one', 'two']);
    expect(fused.get('two')).toEqual([]);
    expect(new Map(fuseRuns([]))).toEqual(new Map());
  });

  it('takes another constant', () => {
    expect(fuseRuns([run({ a: 1 })], { k: 0 }).get('q')).toEqual([{ id: 'a', score: 1 }]);
  });

  it('refuses a document listed twice, a score that is not a number, a negative constant and a depth of 0', () => {
    const doubled: Run = new Map([
      [
        'q',
        [
          { id: 'a', score: 1 },
          { id: 'a', score: 2 },
        ],
      ],
    ]);
    expect(() => fuseRuns([doubled])).toThrow(DataError);
    expect(() => fuseRuns([run({ a: Number.NaN })])).toThrow(DataError);
    expect(() => fuseRuns([], { k: -1 })).toThrow(UsageError);
    expect(() => fuseRuns([], { depth: 0 })).toThrow(UsageError);
  });
});
