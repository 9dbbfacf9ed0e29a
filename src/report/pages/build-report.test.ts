import { describe, expect, it } from 'vitest';
import { FiveCorpus, fiveDocuments } from '../../../test/support/five-documents.ts';
import type { Expansion } from '../../data/index.ts';
import { type Arm, compareArms, runArm, type Topics } from '../../evaluate/index.ts';
import { buildReport, describeCost, type ReportInputs } from './build-report.ts';

/**
 * Goldens by hand over the five documents of test/support/five-documents.ts, under alpha 1. "saw" finds d5 d1 d2 d3 d4;
 * with "ship sea" d5 d4 d2 d3 d1. Searched to depth 4.
 */
const open = await fiveDocuments();
const search = open();
const RELEVANT = new Map([
  // d4 is found by the expansion alone, d1 by the query alone, d2 third by both; d5 is judged not relevant.
  ['q0', new Map(Object.entries({ d5: 0, d1: 1, d4: 1, d2: 2 }))],
  ['q1', new Map([['d1', 1]])],
]);

async function arm(name: string, expansions: string[]): Promise<Arm> {
  const topics: Topics = {
    ...{ dataset: 'five', split: 'test', qrels: RELEVANT },
    queries: ['q0', 'q1'].map((id) => ({ id, text: 'saw', expansions })),
  };
  const retriever = await search.retriever('dense', { alpha: 1 });
  return runArm({ name, description: `${name} queries`, retriever, topics }, { depth: 4, dropSelf: true });
}

const raw = await arm('raw', []);
const expanded = await arm('expanded', ['ship sea']);

function inputs(changes: Partial<ReportInputs> = {}): ReportInputs {
  return {
    title: 'A run',
    dataset: { name: 'five', split: 'test', documents: 5, queries: 2 },
    arms: [raw, expanded],
    comparisons: [compareArms(raw, expanded, 'MRR@10', 1), compareArms(raw, expanded, 'P@1', 1)],
    baseline: raw,
    expanded,
    documents: new FiveCorpus().documents(),
    settings: [['Search', [['depth', '4']]]],
    remarks: ['a remark'],
    ...changes,
  };
}

describe('a report', () => {
  it('holds each query before and after, by the measure of the main comparison', async () => {
    const { queries } = await buildReport(inputs());
    // q0: d1 second before, d4 second after. q1: d1 second before, not among the four after.
    expect(queries.map(({ id, before, after }) => [id, before, after])).toEqual([
      ['q0', 1 / 2, 1 / 2],
      ['q1', 1 / 2, 0],
    ]);
    expect(queries[0]).toMatchObject({ text: 'saw', expansions: ['ship sea'] });
    const byRecall = await buildReport(inputs({ comparisons: [compareArms(raw, expanded, 'Recall@3', 1)] }));
    // Of three relevant ones d1 and d2, then d4 and d2.
    expect(byRecall.queries.map(({ before, after }) => [before, after])).toEqual([
      [2 / 3, 2 / 3],
      [1, 0],
    ]);
  });

  it('holds the ranks of relevant documents before and after, sorted by grade, then by rank', async () => {
    const { queries } = await buildReport(inputs());
    expect(queries[0]!.relevant).toEqual([
      { id: 'd2', text: 'saw wood', grade: 2, rankBefore: 3, rankAfter: 3 },
      { id: 'd4', text: 'ship ship sea', grade: 1, rankBefore: null, rankAfter: 2 },
      { id: 'd1', text: 'saw saw saw wood', grade: 1, rankBefore: 2, rankAfter: null },
    ]);
    expect(queries[1]!.relevant).toEqual([
      { id: 'd1', text: 'saw saw saw wood', grade: 1, rankBefore: 2, rankAfter: null },
    ]);
  });

  it('holds the arms with the measures of the tables, and the other inputs', async () => {
    const report = await buildReport(inputs());
    expect(report.arms.map(({ name, description }) => [name, description])).toEqual([
      ['raw', 'raw queries'],
      ['expanded', 'expanded queries'],
    ]);
    // Recall@100: q0 finds two of three, q1 its one before and none after.
    expect(report.arms[0]!.measures['Recall@100']).toBeCloseTo((2 / 3 + 1) / 2, 12);
    expect(report.arms[1]!.measures['Recall@100']).toBeCloseTo((2 / 3 + 0) / 2, 12);
    expect(Object.keys(report.arms[0]!.measures)).toEqual(['nDCG@10', 'Recall@100', 'MRR@10', 'MAP@100']);
    expect(report).toMatchObject({
      ...{ title: 'A run', dataset: { documents: 5 }, remarks: ['a remark'], cost: undefined },
      comparisons: [{ measure: 'MRR@10', delta: -0.25, helped: 0, hurt: 1, unchanged: 1 }, { measure: 'P@1' }],
    });
  });

  it('holds no query without two arms and a comparison, and then reads no document', async () => {
    for (const changes of [{ baseline: undefined }, { expanded: undefined }, { comparisons: [] }]) {
      const corpus = new FiveCorpus();
      expect((await buildReport(inputs({ ...changes, documents: corpus.documents() }))).queries).toEqual([]);
      expect(corpus.reads).toBe(0);
    }
  });

  it('cuts long documents', async () => {
    async function* documents() {
      yield { id: 'd2', title: 'Title', text: 'x'.repeat(300) };
    }
    const { queries } = await buildReport(inputs({ documents: documents() }));
    expect(queries[0]!.relevant[0]!.text).toBe(`Title ${'x'.repeat(194)} \u2026`);
    // A document that the corpus lacks has no text.
    expect(queries[1]!.relevant[0]!.text).toBe('');
  });
});

describe('the cost of expansions', () => {
  function expansion(query: string, sample: number, finish: 'stop' | 'length', cost: number): Expansion {
    const counts = { promptTokens: cost, completionTokens: 2 * cost, milliseconds: 3 * cost };
    return { query, sample, text: 'ship sea', finish, ...counts, key: 'key' };
  }
  it('is a mean over the queries that were searched', () => {
    const texts = [
      expansion('q0', 0, 'stop', 10),
      expansion('q0', 1, 'length', 20),
      expansion('q1', 0, 'stop', 40),
      expansion('q9', 0, 'length', 1000),
    ];
    expect(describeCost(texts, expanded)).toMatchObject({
      // 10 + 20 + 40 over two queries; one passage of three was cut.
      ...{ promptTokens: 35, completionTokens: 70, generationMilliseconds: 105, cutAtLimit: 1 / 3 },
    });
    expect(describeCost([], expanded)).toMatchObject({ promptTokens: 0, cutAtLimit: 0 });
  });
});
