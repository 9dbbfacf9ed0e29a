import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../system/index.ts';
import { evaluateRun } from './evaluate-run.ts';
import type { Qrels, Run } from './records.ts';

/** Written by reference/measure_goldens.py from pytrec_eval. */
interface GoldenCase {
  name: string;
  relevanceLevel: number;
  qrels: Record<string, Record<string, number>>;
  run: Record<string, Record<string, number>>;
  names: string[];
  perQuery: Record<string, number[]>;
  all: number[];
  complete: number[];
}

const CASES = JSON.parse(readFileSync(new URL('./goldens/measures.json', import.meta.url), 'utf8')) as GoldenCase[];

function toQrels(judgements: Record<string, Record<string, number>>): Qrels {
  return new Map(Object.entries(judgements).map(([query, judged]) => [query, new Map(Object.entries(judged))]));
}

function toRun(rankings: Record<string, Record<string, number>>): Run {
  const hits = (scored: Record<string, number>) => Object.entries(scored).map(([id, score]) => ({ id, score }));
  return new Map(Object.entries(rankings).map(([query, scored]) => [query, hits(scored)]));
}

function expectValues(actual: Record<string, number>, names: string[], expected: number[]): void {
  names.forEach((name, m) => {
    expect(Math.abs(actual[name]! - expected[m]!), `${name}: ${actual[name]} for ${expected[m]}`).toBeLessThan(5e-6);
  });
}

describe('evaluateRun equals pytrec_eval to five decimals', () => {
  it.each(CASES)('$name', ({ relevanceLevel, qrels, run, names, perQuery, all, complete }) => {
    const options = { measures: names, relevanceLevel };
    const result = evaluateRun(toQrels(qrels), toRun(run), options);
    expect([...result.perQuery.keys()].sort()).toEqual(Object.keys(perQuery).sort());
    for (const [query, values] of Object.entries(perQuery)) expectValues(result.perQuery.get(query)!, names, values);
    expectValues(result.mean, names, all);
    expectValues(evaluateRun(toQrels(qrels), toRun(run), { ...options, complete: true }).mean, names, complete);
  });

  it('has goldens that distinguish the tie rules', () => {
    const names = CASES.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['tied', 'tied as 32-bit numbers only', 'ids beyond ASCII']));
    expect(CASES.every(({ names: measures }) => measures.length >= 61)).toBe(true);
  });
});

describe('evaluateRun, rule by rule', () => {
  const qrels = toQrels({ q1: { a: 1, b: 0 }, q2: { a: 1 } });

  it('reads scores as 32-bit floats before it breaks ties', () => {
    const { mean } = evaluateRun(qrels, toRun({ q1: { a: 1.00000001, b: 1 } }), { measures: ['MRR'] });
    expect(mean.MRR).toBe(0.5);
  });

  it('ignores the order of the lines', () => {
    const { mean } = evaluateRun(qrels, toRun({ q1: { b: 1, a: 2 } }), { measures: ['recip_rank'] });
    expect(mean.recip_rank).toBe(1);
  });

  it('averages over the queries in both files, or over all judged ones', () => {
    const run = toRun({ q1: { a: 1 }, other: { a: 1 } });
    expect(evaluateRun(qrels, run, { measures: ['P@1'] })).toEqual({
      perQuery: new Map([['q1', { 'P@1': 1 }]]),
      mean: { 'P@1': 1 },
      queries: 1,
      missing: ['q2'],
      unjudged: ['other'],
      complete: false,
    });
    expect(evaluateRun(qrels, run, { measures: ['P@1', 'num_q'], complete: true })).toMatchObject({
      mean: { 'P@1': 0.5, num_q: 2 },
      queries: 2,
      complete: true,
    });
  });

  it('lets an empty ranking count as 0', () => {
    expect(evaluateRun(qrels, new Map([['q1', []]])).mean).toMatchObject({ ndcg_cut_10: 0, set_P: 0, num_rel: 1 });
  });

  it('cuts the reciprocal rank at k', () => {
    const run = toRun({ q1: { x: 3, y: 2, a: 1 } });
    const { mean } = evaluateRun(qrels, run, { measures: ['MRR', 'MRR@2', 'MRR@3'] });
    expect(mean).toEqual({ MRR: 1 / 3, 'MRR@2': 0, 'MRR@3': 1 / 3 });
  });

  it('caps recall at k and finds holes among the judgements of all queries', () => {
    const judged = toQrels({ q1: { a: 1, b: 1, c: 1 }, q2: { d: 1 } });
    const run = toRun({ q1: { a: 4, x: 3, d: 2, b: 1 } });
    const { mean } = evaluateRun(judged, run, { measures: ['R_cap@2', 'R_cap@10', 'Hole@2', 'Hole@10'] });
    expect(mean).toEqual({ 'R_cap@2': 1 / 2, 'R_cap@10': 2 / 3, 'Hole@2': 1 / 2, 'Hole@10': 1 / 10 });
  });

  it('gives 0 if every judgement is negative', () => {
    const { mean } = evaluateRun(toQrels({ q1: { a: -1 } }), toRun({ q1: { a: 1 } }));
    expect(mean).toMatchObject({ ndcg_cut_10: 0, map: 0, recall_10: 0, bpref: 0, R_cap_10: 0, num_rel: 0 });
  });

  it('keeps nDCG at most 1 with grades far apart', () => {
    const judged = toQrels({ q1: { a: 1_000_000, b: 1 } });
    expect(evaluateRun(judged, toRun({ q1: { a: 2, b: 1 } }), { measures: ['nDCG@10'] }).mean['nDCG@10']).toBe(1);
  });
});

describe('evaluateRun and queries without judgements', () => {
  it('neither averages over them nor reports them as missing', () => {
    const qrels: Qrels = new Map([
      ['q1', new Map([['a', 1]])],
      ['q2', new Map()],
      ['q3', new Map()],
    ]);
    const run: Run = new Map([
      ['q1', [{ id: 'a', score: 1 }]],
      ['q2', [{ id: 'a', score: 1 }]],
    ]);
    const { mean, missing, unjudged, queries } = evaluateRun(qrels, run, { measures: ['P@1'], complete: true });
    expect({ mean, missing, unjudged, queries }).toEqual({
      mean: { 'P@1': 1 },
      missing: [],
      unjudged: ['q2'],
      queries: 1,
    });
  });

  it('says which of the two is empty', () => {
    const run: Run = new Map([['q9', []]]);
    expect(() => evaluateRun(new Map(), run)).toThrow(/the judgements are empty/);
    expect(() => evaluateRun(new Map([['q1', new Map([['a', 1]])]]), run)).toThrow(/no query of the run is judged/);
  });
});

describe('evaluateRun refuses', () => {
  const qrels = toQrels({ q1: { a: 1 } });
  const hit = (id: string, score: number) => ({ id, score });

  it('a document listed twice', () => {
    const run = new Map([['q1', [hit('a', 2), hit('b', 1.5), hit('a', 1)]]]);
    expect(() => evaluateRun(qrels, run)).toThrow(/id "q1".*"a" twice/);
  });

  it('a score that is not a number', () => {
    const run = new Map([['q1', [hit('a', Number.NaN)]]]);
    expect(() => evaluateRun(qrels, run)).toThrow(/id "q1".*"a" is not a number/);
  });

  it('a grade that is not whole', () => {
    expect(() => evaluateRun(toQrels({ q1: { a: 0.5 } }), new Map([['q1', []]]))).toThrow(/0\.5, not an integer/);
  });

  it('a run and judgements that share no query', () => {
    expect(() => evaluateRun(qrels, toRun({ other: { a: 1 } }))).toThrow(/no query of the run is judged/);
    expect(() => evaluateRun(qrels, new Map())).toThrow(DataError);
    expect(() => evaluateRun(new Map(), toRun({ q1: { a: 1 } }), { complete: true })).toThrow(/judgements are empty/);
  });

  it('unknown measures and invalid relevance levels', () => {
    expect(() => evaluateRun(qrels, toRun({ q1: { a: 1 } }), { measures: ['nDGC@10'] })).toThrow(UsageError);
    expect(() => evaluateRun(qrels, toRun({ q1: { a: 1 } }), { relevanceLevel: 0 })).toThrow(UsageError);
  });
});
