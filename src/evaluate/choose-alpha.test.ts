import { describe, expect, it } from 'vitest';
import { fiveDocuments } from '../../test/support/five-documents.ts';
import { Random, UsageError } from '../system/index.ts';
import { type AlphaChoice, ChosenAlphaRetriever, chooseAlpha } from './choose-alpha.ts';
import { crossValidate } from './cross-validate.ts';
import type { Topics } from './topics.ts';

/**
 * Goldens by hand over the five documents of test/support/five-documents.ts. "saw" finds d5 d1 d2 d3 d4 by itself (alpha
 * 0), d5 d2 d1 d3 d4 under alpha 1/2 of "ship sea", and d5 d4 d2 d3 d1 under alpha 1.
 */
const open = await fiveDocuments();
const search = open();

function topics(...relevant: string[]): Topics {
  return {
    ...{ dataset: 'five', split: 'test' },
    queries: relevant.map((_id, at) => ({ id: `q${at}`, text: 'saw', expansions: ['ship sea'] })),
    qrels: new Map(relevant.map((id, at) => [`q${at}`, new Map([[id, 1]])])),
  };
}

const OPTIONS = {
  kind: 'dense',
  measure: 'MRR@10',
  alphas: [1, 0, 0.5, 1],
  depth: 10,
  keepSelf: false,
  seed: 1,
} as const;

/** Values of each alpha out of those of each query. */
function byAlpha(queries: Record<string, number[]>): Map<string, number>[] {
  const [first] = Object.values(queries);
  return first!.map((_value, at) => new Map(Object.entries(queries).map(([id, values]) => [id, values[at]!])));
}

describe('cross-validation of alpha', () => {
  const validate = (queries: Record<string, number[]>, seed = 1) =>
    Object.fromEntries(crossValidate(Object.keys(queries), [0, 0.5, 1], byAlpha(queries), seed));

  it('gives a query the best alpha of the others, and none of its own', () => {
    expect(validate({ a: [1, 0, 0], b: [0, 0, 1] })).toEqual({ a: 1, b: 0 });
    // a: mean of b and c is 0.3, 0.45, 0.4; b: of a and c 0.5, 0.2, 0.4; c: of a and b 0.6, 0.45, 0.
    expect(validate({ a: [0.8, 0.2, 0], b: [0.4, 0.7, 0], c: [0.2, 0.2, 0.8] })).toEqual({ a: 0.5, b: 0, c: 0 });
  });

  it('gives the smallest of equal alphas', () => {
    expect(validate({ a: [0, 0, 0], b: [0, 1, 1], c: [0, 0, 0] })).toEqual({ a: 0.5, b: 0, c: 0.5 });
  });

  it('never looks at a query for its own alpha, however many there are', () => {
    const random = new Random(3);
    const values = Object.fromEntries(
      Array.from({ length: 37 }, (_none, at) => [`q${at}`, [random.normal(), random.normal(), random.normal()]]),
    );
    const usual = validate(values);
    expect(Object.keys(usual)).toHaveLength(37);
    for (const id of Object.keys(values)) {
      for (const own of [
        [100, 0, 0],
        [0, 100, 0],
        [0, 0, 100],
      ]) {
        expect(validate({ ...values, [id]: own })[id]).toBe(usual[id]);
      }
    }
  });

  it('leaves out one part of ten, so that the other nine parts decide', () => {
    // 20 queries, two in each part. One alone wants 1, and much: all but the two of its part see it.
    const values = Object.fromEntries(
      Array.from({ length: 20 }, (_none, at) => [`q${at}`, [0.1, 0, at === 7 ? 100 : 0]]),
    );
    const chosen = validate(values);
    expect(chosen.q7).toBe(0);
    expect(Object.values(chosen).filter((alpha) => alpha === 0)).toHaveLength(2);
    expect(validate(values)).toEqual(chosen);
    const partners = new Set(
      Array.from(
        { length: 12 },
        (_none, seed) => Object.entries(validate(values, seed)).find(([id, alpha]) => alpha === 0 && id !== 'q7')![0],
      ),
    );
    expect(partners.size).toBeGreaterThan(1);
  });

  it('refuses a lone query, and no alphas', () => {
    expect(() => crossValidate(['a'], [0], byAlpha({ a: [1] }), 1)).toThrow(/at least two queries/);
    expect(() => crossValidate(['a', 'b'], [], [], 1)).toThrow(UsageError);
    expect(Object.fromEntries(crossValidate(['a', 'b'], [0.3], byAlpha({ a: [1], b: [0] }), 1))).toEqual({
      a: 0.3,
      b: 0.3,
    });
  });
});

describe('the choice of alpha', () => {
  it('falls on development queries if there are any', async () => {
    // dev wants d4 (1/5, 1/5, 1/2); the scored ones want d1.
    const choice = await chooseAlpha(search, { dev: topics('d4'), scored: topics('d1', 'd1') }, OPTIONS);
    expect(choice).toEqual({
      ...{
        source: 'dev',
        words: '1',
        alphaOf: new Map([
          ['q0', 1],
          ['q1', 1],
        ]),
      },
      points: [
        { alpha: 0, value: 1 / 5 },
        { alpha: 0.5, value: 1 / 5 },
        { alpha: 1, value: 1 / 2 },
      ],
    });
  });

  it('is cross-validated without, each query by the others', async () => {
    // d1: 1/2, 1/3, 1/5; d4: 1/5, 1/5, 1/2. q0 is weighed as q1 wants it, and the other way round.
    const choice = await chooseAlpha(search, { dev: undefined, scored: topics('d1', 'd4') }, OPTIONS);
    expect(choice).toMatchObject({ source: 'cross-validation', words: '0 to 1' });
    expect(Object.fromEntries(choice.alphaOf)).toEqual({ q0: 1, q1: 0 });
    expect(choice.points.map(({ alpha }) => alpha)).toEqual([0, 0.5, 1]);
    for (const [at, value] of [0.35, (1 / 3 + 1 / 5) / 2, 0.35].entries()) {
      expect(choice.points[at]!.value).toBeCloseTo(value, 12);
    }
    // Smallest first, whatever the parts.
    for (const seed of [2, 3, 4, 5, 6]) {
      const other = await chooseAlpha(search, { dev: undefined, scored: topics('d1', 'd4') }, { ...OPTIONS, seed });
      expect(other.words).toBe('0 to 1');
    }
    const agreed = await chooseAlpha(search, { dev: undefined, scored: topics('d1', 'd1', 'd1') }, OPTIONS);
    expect(agreed.words).toBe('0');
  });

  it('treats self-hits and depth as the scored search does', async () => {
    const own = topics('d2', 'd2');
    for (const query of own.queries) query.id = query.id === 'q0' ? 'd5' : 'd1';
    own.qrels = new Map([
      ['d5', new Map([['d2', 1]])],
      ['d1', new Map([['d2', 1]])],
    ]);
    const values = async (changes: object) =>
      (await chooseAlpha(search, { dev: undefined, scored: own }, { ...OPTIONS, alphas: [0], ...changes })).points[0]!
        .value;
    // d5 d1 d2: without d5 or without d1 d2 stands second; third with both.
    expect(await values({})).toBe(1 / 2);
    expect(await values({ keepSelf: true })).toBeCloseTo(1 / 3, 12);
    expect(await values({ keepSelf: true, depth: 2 })).toBe(0);
  });
});

it('the choice of alpha searches as deep as the fusion, which ranks beyond the measure', async () => {
  // alpha 1/2 and BM25 together: d1 first of five each; of one each d5 would be.
  const options = { ...OPTIONS, kind: 'rrf', measure: 'P@1', alphas: [0.5] } as const;
  const { points } = await chooseAlpha(search, { dev: undefined, scored: topics('d1', 'd1') }, options);
  expect(points).toEqual([{ alpha: 0.5, value: 1 }]);
});

describe('a search under chosen alphas', () => {
  it('gives each query its own, in the order of the queries', async () => {
    const alphaOf = new Map([
      ['a', 1],
      ['b', 0],
      ['c', 1],
    ]);
    const choice = { source: 'cross-validation', alphaOf, points: [], words: '0 to 1' } satisfies AlphaChoice;
    const retriever = await ChosenAlphaRetriever.open(search, 'dense', choice);
    expect(retriever).toMatchObject({ name: 'dense', size: 5 });
    expect(retriever.settings).toMatchObject({
      encoder: 'five',
      alpha: '0 to 1',
      'alpha chosen by': 'cross-validation',
    });
    const queries = ['a', 'b', 'c'].map((id) => ({ id, text: 'saw', expansions: ['ship sea'] }));
    const started = performance.now();
    const { run, encodeMilliseconds, searchMilliseconds } = await retriever.retrieve(queries, {
      depth: 3,
      dropSelf: true,
    });
    expect([...run].map(([id, hits]) => [id, ...[...hits].map((hit) => hit.id)])).toEqual([
      ['a', 'd5', 'd4', 'd2'],
      ['b', 'd5', 'd1', 'd2'],
      ['c', 'd5', 'd4', 'd2'],
    ]);
    expect(encodeMilliseconds).toBeGreaterThan(0);
    expect(searchMilliseconds).toBeGreaterThan(0);
    expect(encodeMilliseconds + searchMilliseconds).toBeLessThanOrEqual(performance.now() - started);
    const stranger = retriever.retrieve([...queries, { id: 'z', text: 'saw', expansions: [] }], {
      depth: 3,
      dropSelf: true,
    });
    await expect(stranger).rejects.toThrow(/no alpha was chosen for query z/);
  });
});
