import { readFile } from 'node:fs/promises';
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

interface Golden {
  depth: number;
  runs: Record<string, [id: string, score: number][]>[];
  rrf: Record<string, [id: string, score: number][]>;
  minmax: Record<string, [id: string, score: number][]>;
  'minmax of weights 0.7 and 0.3': Record<string, [id: string, score: number][]>;
}
const golden: Golden = JSON.parse(await readFile(new URL('./goldens/fusion.json', import.meta.url), 'utf8'));

describe("Pyserini's fusion", () => {
  const runs = golden.runs.map(
    (hits): Run =>
      new Map(Object.entries(hits).map(([query, list]) => [query, list.map(([id, score]) => ({ id, score }))])),
  );

  it.each([
    ['rrf', golden.rrf, {}],
    ['minmax', golden.minmax, {}],
    ['minmax', golden['minmax of weights 0.7 and 0.3'], { weights: [0.7, 0.3] }],
    ['minmax', golden['minmax of weights 0.7 and 0.3'], { weights: [7, 3] }],
  ] as const)('%s', (fusion, wanted, options) => {
    const fused = fuseRuns(runs, { fusion, depth: golden.depth, ...options });
    for (const [query, hits] of Object.entries(wanted)) {
      // Pyserini leaves open which of equal scores come first, and which are cut off.
      const scores = new Map(hits);
      const found = fused.get(query)!;
      expect(found).toHaveLength(hits.length);
      for (const [at, { id, score }] of found.entries()) {
        expect(score).toBeCloseTo(hits[at]![1], 12);
        expect(score, `${query}: ${id}`).toBeCloseTo(scores.get(id) ?? hits.at(-1)![1], 12);
      }
    }
  });

  it('of one hit, or of equal scores, gives 1', () => {
    const fused = fuseRuns([run({ a: 7 }), run({ a: 3, b: 3 })], { fusion: 'minmax' }).get('q');
    expect(fused).toEqual([
      { id: 'a', score: 1 },
      { id: 'b', score: 0.5 },
    ]);
  });

  it('refuses infinite scores and weights that do not fit', () => {
    const broken = [run({ a: 1, b: Number.POSITIVE_INFINITY }), run({ a: 1 })];
    expect(() => fuseRuns(broken, { fusion: 'minmax' })).toThrow(DataError);
    for (const weights of [[1], [0, 0], [1, -1], [1, Number.NaN], [1, Number.POSITIVE_INFINITY]]) {
      expect(() => fuseRuns([run({ a: 1 }), run({ b: 1 })], { weights })).toThrow(UsageError);
    }
  });
});
