import { describe, expect, it } from 'vitest';
import { fiveDocuments } from '../../test/support/five-documents.ts';
import { type Arm, millisecondsPerQuery, REPORTED_MEASURES, runArm, TABLE_MEASURES } from './arms.ts';
import { compareArms } from './comparison.ts';
import type { Topics } from './topics.ts';

/**
 * Goldens by hand over the five documents of test/support/five-documents.ts. Without expansion "saw" finds d5 d1 d2 d3
 * d4; under alpha 1 and "ship sea" d5 d4 d2 d3 d1; under "turn" d4 d3 d2 d1 d5.
 */
const open = await fiveDocuments();
const search = open();

/** An arm under alpha 1 of queries that all read "saw", each with its relevant document and its expansions. */
async function arm(name: string, ...queries: [relevant: string, ...expansions: string[]][]): Promise<Arm> {
  const topics: Topics = {
    ...{ dataset: 'five', split: 'test' },
    queries: queries.map(([, ...expansions], at) => ({ id: `q${at}`, text: 'saw', expansions })),
    qrels: new Map(queries.map(([relevant], at) => [`q${at}`, new Map([[relevant, 1]])])),
  };
  const retriever = await search.retriever('dense', { alpha: 1 });
  return runArm({ name, description: `${name} queries`, retriever, topics }, { depth: 4, dropSelf: true });
}

// Searched to depth 4, reciprocal rank:       d4       d3       d1       d2       d5
const raw = await arm('raw', ['d4'], ['d3'], ['d1'], ['d2'], ['d5']); // 0        1/4      1/2      1/3      1
const texts = ['turn', 'turn', 'ship sea', 'ship sea', 'ship sea'];
const expanded = await arm(
  'expanded', //                                     1        1/2      0        1/3      1
  ...(['d4', 'd3', 'd1', 'd2', 'd5'].map((id, at) => [id, texts[at]!]) as [string, string][]),
);

describe('an evaluated arm', () => {
  it('holds what was planned, the run and the scores', () => {
    expect(raw).toMatchObject({ name: 'raw', description: 'raw queries' });
    expect([...raw.retrieval.run.get('q0')!].map(({ id }) => id)).toEqual(['d5', 'd1', 'd2', 'd3']);
    expect([...raw.scores.perQuery].map(([id, all]) => [id, all['MRR@10']])).toEqual([
      ['q0', 0],
      ['q1', 1 / 4],
      ['q2', 1 / 2],
      ['q3', 1 / 3],
      ['q4', 1],
    ]);
    expect(raw.scores.mean['MRR@10']).toBeCloseTo((1 / 4 + 1 / 2 + 1 / 3 + 1) / 5, 12);
    expect(Object.keys(raw.scores.mean)).toEqual(REPORTED_MEASURES);
  });

  it('reports seven measures at each cut-off, among them the four of the tables', () => {
    expect(new Set(REPORTED_MEASURES.map((name) => name.split('@')[0]))).toEqual(
      new Set(['nDCG', 'MAP', 'Recall', 'P', 'MRR', 'R_cap', 'Hole']),
    );
    expect(REPORTED_MEASURES).toEqual(expect.arrayContaining(TABLE_MEASURES));
    expect(TABLE_MEASURES).toEqual(['nDCG@10', 'Recall@100', 'MRR@10', 'MAP@100']);
  });

  it('counts judged queries that found nothing', async () => {
    const retriever = await search.retriever('bm25');
    const topics: Topics = {
      ...{ dataset: 'five', split: 'test' },
      queries: [
        { id: 'q0', text: 'saw', expansions: [] },
        { id: 'q1', text: 'zebra', expansions: [] },
      ],
      qrels: new Map(['q0', 'q1', 'q2'].map((id) => [id, new Map([['d1', 1]])])),
    };
    const { scores } = await runArm({ name: 'raw', description: '', retriever, topics }, { depth: 5, dropSelf: false });
    expect(scores.mean['MRR@10']).toBeCloseTo(1 / 3, 12);
    expect(scores.complete).toBe(true);
  });

  it('times embedding and search together, per query', () => {
    const retrieval = { ...raw.retrieval, encodeMilliseconds: 4, searchMilliseconds: 6 };
    expect(millisecondsPerQuery({ ...raw, retrieval })).toBe(2);
    expect(millisecondsPerQuery({ ...raw, retrieval, topics: { ...raw.topics, queries: [] } })).toBe(10);
  });
});

describe('the comparison of two arms', () => {
  it('gives delta, helped, hurt and unchanged by hand', () => {
    // 1, 1/4, -1/2, 0, 0.
    const compared = compareArms(raw, expanded, 'MRR@10', 3);
    expect(compared).toMatchObject({ baseline: 'raw', arm: 'expanded', measure: 'MRR@10' });
    expect(compared.delta).toBeCloseTo(0.75 / 5, 12);
    expect(compared).toMatchObject({ helped: 2, hurt: 1, unchanged: 2 });
  });

  it('tests by the signs of the three that change', () => {
    // The sum is 3/4. Of the 8 patterns of ±1 ±1/4 ±1/2 those of at least 3/4: 1 + 1/4 + 1/2, 1 - 1/4 + 1/2,
    // 1 + 1/4 - 1/2, and their opposites.
    expect(compareArms(raw, expanded, 'MRR@10', 3).randomization).toBeCloseTo(6 / 8, 12);
    // Student's t: mean .15, squares .85² + .1² + .65² + .15² + .15² = 1.2, t = .15 / √(1.2 / 4 / 5) = .612372; four
    // degrees of freedom: p = 1 - t·(t² + 6) / (t² + 4)^(3/2).
    const t = 0.15 / Math.sqrt(1.2 / 4 / 5);
    const p = 1 - (t * (t * t + 6)) / (t * t + 4) ** 1.5;
    expect(compareArms(raw, expanded, 'MRR@10', 3).tTest).toBeCloseTo(p, 9);
  });

  it('changes its sign with the order of the arms', () => {
    const [one, other] = [compareArms(raw, expanded, 'MRR@10', 3), compareArms(expanded, raw, 'MRR@10', 3)];
    expect(other).toMatchObject({ baseline: 'expanded', arm: 'raw', helped: 1, hurt: 2, unchanged: 2 });
    expect(other.delta).toBeCloseTo(-one.delta, 12);
    expect(other.randomization).toBe(one.randomization);
  });

  it('is of the requested measure', () => {
    // P@1: q4 alone before (d5), q0 and q4 after.
    expect(compareArms(raw, expanded, 'P@1', 3)).toMatchObject({ measure: 'P@1', delta: 0.2, helped: 1, hurt: 0 });
  });

  it('has an interval around the change, the same for the same seed', () => {
    const interval = (seed: number) => compareArms(raw, expanded, 'MRR@10', seed).interval;
    const [low, high] = interval(3);
    expect(interval(3)).toEqual([low, high]);
    expect(low).toBeGreaterThanOrEqual(-0.5);
    expect(low).toBeLessThan(0.15);
    expect(high).toBeGreaterThan(0.15);
    expect(high).toBeLessThanOrEqual(1);
  });

  it('has no width if all queries change by the same amount', async () => {
    // d4: not found, then first.
    const [before, after] = [await arm('raw', ['d4'], ['d4']), await arm('expanded', ['d4', 'turn'], ['d4', 'turn'])];
    expect(compareArms(before, after, 'MRR@10', 3)).toMatchObject({ delta: 1, interval: [1, 1], tTest: 0 });
    expect(compareArms(before, before, 'MRR@10', 3)).toMatchObject({
      ...{ delta: 0, interval: [0, 0], tTest: 1, randomization: 1 },
      ...{ helped: 0, hurt: 0, unchanged: 2 },
    });
  });

  it('counts a query that only one arm lacks as zero', () => {
    const fewer = new Map([...expanded.retrieval.run].filter(([id]) => id !== 'q4'));
    const arm: Arm = { ...expanded, retrieval: { ...expanded.retrieval, run: fewer } };
    // 1, 1/4, -1/2, 0, -1.
    const compared = compareArms(raw, arm, 'MRR@10', 3);
    expect(compared.delta).toBeCloseTo(-0.25 / 5, 12);
    expect(compared).toMatchObject({ helped: 2, hurt: 2, unchanged: 1 });
  });
});
