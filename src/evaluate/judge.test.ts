import { describe, expect, it } from 'vitest';
import { FiveEncoder, fiveDocuments } from '../../test/support/five-documents.ts';
import type { Run } from '../measures/index.ts';
import type { ExpandedQuery } from '../retrieve/index.ts';
import { REPORTED_MEASURES } from './arms.ts';
import { type ArmTopics, Judge, type JudgeOptions } from './judge.ts';
import type { Topics } from './topics.ts';

/**
 * Goldens by hand over the five documents of test/support/five-documents.ts. The query "saw" is (1, 0). Its ranks of the
 * documents by dot product, under the weights of two expansions:
 *
 * | alpha | "ship sea" (0, 1)    | "turn" (-1, 1)       |
 * | 0     | d5 d1 d2 d3 d4       | d5 d1 d2 d3 d4       |
 * | 1/4   | d5 d2 d1 d3 d4       | d5 d2 d1 d3 d4       |
 * | 1/2   | d5 d2 d1 d3 d4       | d5 d4 d2 d3 d1       |
 * | 3/4   | d5 d2 d4 d3 d1       | d4 d3 d2 d1 d5       |
 * | 1     | d5 d4 d2 d3 d1       | d4 d3 d2 d1 d5       |
 *
 * "turn": (1, 0), (1/2, 1/4), (0, 1/2), (-1/2, 3/4), (-1, 1), with d4 and d2 tied at alpha 1/2, d3 and d2 at 3/4.
 */
const open = await fiveDocuments();
const search = open();
const ALPHAS = [0, 0.25, 0.5, 0.75, 1];

/** Topics of queries that all read "saw", each with its relevant document and its expansions. */
function topics(...queries: [relevant: string, ...expansions: string[]][]): Topics {
  return {
    ...{ dataset: 'five', split: 'test' },
    queries: queries.map(([, ...expansions], at): ExpandedQuery => ({ id: `q${at}`, text: 'saw', expansions })),
    qrels: new Map(queries.map(([relevant], at) => [`q${at}`, new Map([[relevant, 1]])])),
  };
}

function judge(options: Partial<JudgeOptions> = {}): Judge {
  const usual = { kind: 'dense', measure: 'MRR@10', alphas: ALPHAS, depth: 10, keepSelf: false } as const;
  return new Judge(search, { ...usual, ...options });
}

function arm(dev: Topics | undefined, ...test: Topics[]): ArmTopics {
  return { name: 'aligned', dev, test };
}

const ANY = topics(['d1', 'ship sea']);

describe('alpha', () => {
  it.each([
    // d4 climbs: 5th, 5th, 5th, 3rd, 2nd.
    { what: 'the last', dev: topics(['d4', 'ship sea']), values: [1 / 5, 1 / 5, 1 / 5, 1 / 3, 1 / 2], best: 1 },
    // d1 falls: 2nd, 3rd, 3rd, 5th, 5th.
    { what: 'the first', dev: topics(['d1', 'ship sea']), values: [1 / 2, 1 / 3, 1 / 3, 1 / 5, 1 / 5], best: 0 },
    // d2 under "turn": 3rd, 2nd, then 3rd.
    { what: 'between', dev: topics(['d2', 'turn']), values: [1 / 3, 1 / 2, 1 / 3, 1 / 3, 1 / 3], best: 0.25 },
    // d2 under "ship sea": 3rd, three times 2nd, 3rd. Of the plateau the smallest.
    { what: 'a plateau', dev: topics(['d2', 'ship sea']), values: [1 / 3, 1 / 2, 1 / 2, 1 / 2, 1 / 3], best: 0.25 },
    // d3 stands 4th whatever alpha is.
    { what: 'no difference', dev: topics(['d3', 'ship sea']), values: [1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4], best: 0 },
    // The means of d1 and d4: both ends are (1/2 + 1/5) / 2, and the smallest wins.
    {
      what: 'a tie of the ends',
      dev: topics(['d1', 'ship sea'], ['d4', 'ship sea']),
      values: [0.35, 4 / 15, 4 / 15, 4 / 15, 0.35],
      best: 0,
    },
    // A mean over queries decides, and not one of them: d4 (as above) twice, and d1.
    {
      what: 'the mean over queries',
      dev: topics(['d4', 'ship sea'], ['d1', 'ship sea'], ['d4', 'ship sea']),
      values: [0.9 / 3, (2 / 5 + 1 / 3) / 3, (2 / 5 + 1 / 3) / 3, (2 / 3 + 1 / 5) / 3, 1.2 / 3],
      best: 1,
    },
  ])('is tuned on the development queries: $what is best', async ({ dev, values, best }) => {
    const scored = await judge().score(arm(dev, ANY));
    expect(scored.alpha).toBe(best);
    expect(scored.tuning.map(({ alpha }) => alpha)).toEqual(ALPHAS);
    for (const [at, value] of values.entries()) expect(scored.tuning[at]!.value).toBeCloseTo(value, 12);
  });

  it('does not depend on the order of the alphas: of a plateau the smallest wins', async () => {
    const { alpha, tuning } = await judge({ alphas: [0.75, 1, 0.25, 0, 0.5] }).score(
      arm(topics(['d2', 'ship sea']), ANY),
    );
    expect(alpha).toBe(0.25);
    expect(tuning.map((point) => point.alpha)).toEqual(ALPHAS);
  });

  it('is never chosen by the test queries', async () => {
    // dev wants 0 (d1), the test queries 1 (d4); and the other way round.
    const [d1, d4] = [topics(['d1', 'ship sea']), topics(['d4', 'ship sea'])];
    const one = await judge().score(arm(d1, d4));
    expect([one.alpha, one.measures['MRR@10']]).toEqual([0, 1 / 5]);
    const other = await judge().score(arm(d4, d1));
    expect([other.alpha, other.measures['MRR@10']]).toEqual([1, 1 / 5]);
  });

  it('is tuned on the requested measure', async () => {
    // q0: d2 under "turn" stands 3rd, 2nd, 3rd, 3rd, 3rd; q1: d3 under it 4th, 4th, 4th, 2nd, 2nd. Neither is ever first.
    const dev = topics(['d2', 'turn'], ['d3', 'turn']);
    const by = async (measure: string) =>
      (await judge({ measure }).score(arm(dev, ANY))).tuning.map((one) => one.value);
    expect(await by('P@1')).toEqual([0, 0, 0, 0, 0]);
    // nDCG@3: 1/log2(rank + 1) to the third place; the mean over both queries.
    const [second, third] = [1 / Math.log2(3), 1 / Math.log2(4)];
    const wanted = [third, second, third, third + second, third + second].map((sum) => sum / 2);
    for (const [at, value] of (await by('nDCG@3')).entries()) expect(value).toBeCloseTo(wanted[at]!, 12);
  });

  it('is not tuned if it is given', async () => {
    const scored = await judge().score(arm(topics(['d4', 'ship sea']), topics(['d1', 'ship sea'])), { alpha: 0.25 });
    expect(scored).toMatchObject({ alpha: 0.25, tuning: [], bySeed: [1 / 3] });
    // 0 is an alpha as well.
    const zero = await judge().score(arm(topics(['d4', 'ship sea']), topics(['d1', 'ship sea'])), { alpha: 0 });
    expect(zero).toMatchObject({ alpha: 0, tuning: [], bySeed: [1 / 2] });
  });

  it('is the first of the alphas without development queries', async () => {
    const scored = await judge({ alphas: [0.75, 0.25] }).score(arm(undefined, topics(['d4', 'ship sea'])));
    expect(scored).toMatchObject({ alpha: 0.75, tuning: [], bySeed: [1 / 3] });
  });

  it('does not exist without expansions', async () => {
    // d5 d1 d2 d3 d4, and no share of the query is taken away.
    const scored = await judge().score(arm(topics(['d4']), topics(['d1'], ['d4'])));
    expect(scored).toMatchObject({ alpha: undefined, tuning: [] });
    expect(scored.values).toEqual(
      new Map([
        ['q0', 1 / 2],
        ['q1', 1 / 5],
      ]),
    );
  });

  it('weighs the expansions even if only one query has some', async () => {
    const scored = await judge().score(arm(topics(['d4', 'ship sea']), topics(['d4'], ['d4', 'ship sea'])));
    expect(scored.alpha).toBe(1);
    expect(scored.values).toEqual(
      new Map([
        ['q0', 1 / 5],
        ['q1', 1 / 2],
      ]),
    );
  });

  it('weighs the expansions even if only one seed has some', async () => {
    const scored = await judge().score(arm(topics(['d4', 'ship sea']), topics(['d4']), topics(['d4', 'ship sea'])));
    expect(scored).toMatchObject({ alpha: 1, bySeed: [1 / 5, 1 / 2] });
  });

  it('does not exist under BM25, which repeats the query', async () => {
    // saw five times, ship and sea once: d1 d2 d4 d3 d5.
    const scored = await judge({ kind: 'bm25' }).score(arm(topics(['d4', 'ship sea']), topics(['d3', 'ship sea'])), {
      alpha: 1,
    });
    expect(scored).toMatchObject({ alpha: undefined, tuning: [], bySeed: [1 / 4] });
  });
});

describe('an arm', () => {
  it('searches each text of the development and test queries, whatever the alphas', async () => {
    const encoder = new FiveEncoder();
    const options = { kind: 'dense', measure: 'MRR@10', alphas: ALPHAS, depth: 10, keepSelf: false } as const;
    await new Judge(open({}, { encoder }), options).score(arm(topics(['d4', 'turn']), topics(['d4', 'ship sea'])));
    const texts = new Set(encoder.calls.filter(([role]) => role === 'query').flatMap(([, ...all]) => all));
    expect([...texts].sort()).toEqual(['saw', 'ship sea', 'turn']);
  });

  it('is the mean over its seeds, query by query and measure by measure', async () => {
    // alpha 1. Seed 0: d4 and d1 under "ship sea": 1/2, 1/5. Seed 1: under "turn": 1, 1/4.
    const seeds = [topics(['d4', 'ship sea'], ['d1', 'ship sea']), topics(['d4', 'turn'], ['d1', 'turn'])];
    const scored = await judge().score(arm(undefined, ...seeds), { alpha: 1 });
    expect(scored.name).toBe('aligned');
    expect(scored.bySeed).toEqual([0.35, 0.625]);
    expect(scored.values).toEqual(
      new Map([
        ['q0', 0.75],
        ['q1', 0.225],
      ]),
    );
    expect(scored.measures['MRR@10']).toBeCloseTo((0.35 + 0.625) / 2, 12);
    // P@1 of the seeds: 0 and 1/2.
    expect(scored.measures['P@1']).toBeCloseTo(0.25, 12);
    expect(scored.measures['Recall@3']).toBeCloseTo((1 / 2 + 1 / 2) / 2, 12);
  });

  it('holds all reported measures, and the tuned one once', async () => {
    const names = async (measure: string) =>
      Object.keys((await judge({ measure }).score(arm(undefined, ANY))).measures);
    expect(await names('nDCG@10')).toEqual(REPORTED_MEASURES);
    expect(await names('MRR@7')).toEqual([...REPORTED_MEASURES, 'MRR@7']);
  });

  it('counts a query that finds nothing as zero', async () => {
    const lost = topics(['d1', 'ship sea'], ['d1']);
    lost.queries[1] = { id: 'q1', text: 'zebra', expansions: [] };
    const scored = await judge({ kind: 'bm25' }).score(arm(undefined, lost));
    expect(scored.bySeed).toEqual([0.5]);
    expect(scored.values).toEqual(
      new Map([
        ['q0', 1],
        ['q1', 0],
      ]),
    );
  });

  it('counts a judged query that is not among the topics as zero, on dev and on test', async () => {
    const more = topics(['d4', 'ship sea']);
    more.qrels.set('q9', new Map([['d1', 1]]));
    const scored = await judge().score(arm(more, more));
    expect(scored.bySeed).toEqual([1 / 4]);
    expect(scored.tuning.map(({ value }) => value)).toEqual([0.1, 0.1, 0.1, 1 / 6, 1 / 4]);
  });

  it('drops the query among the documents, or keeps it', async () => {
    // The query d5 stands first among its own hits; d1 follows, then d2 (relevant).
    const own: Topics = {
      ...ANY,
      queries: [{ id: 'd5', text: 'saw', expansions: [] }],
      qrels: new Map([['d5', new Map([['d2', 1]])]]),
    };
    expect((await judge().score(arm(undefined, own))).bySeed).toEqual([1 / 2]);
    expect((await judge({ keepSelf: true }).score(arm(undefined, own))).bySeed).toEqual([1 / 3]);
  });

  it('is searched to the depth', async () => {
    // d2 stands third.
    expect((await judge({ depth: 3 }).score(arm(undefined, topics(['d2'])))).bySeed).toEqual([1 / 3]);
    expect((await judge({ depth: 2 }).score(arm(undefined, topics(['d2'])))).bySeed).toEqual([0]);
  });

  it('passes on each run of the test queries, seed by seed, and keeps none', async () => {
    const log: [at: number, query: string, ...ids: string[]][] = [];
    const seeds = [topics(['d4', 'ship sea']), topics(['d4', 'turn'])];
    const onRun = async (run: Run, at: number) => {
      await null;
      for (const [query, hits] of run) log.push([at, query, ...hits.map(({ id }) => id)]);
    };
    const scored = await judge().score(arm(topics(['d4', 'ship sea']), ...seeds), { onRun });
    expect(log).toEqual([
      [0, 'q0', 'd5', 'd4', 'd2', 'd3', 'd1'],
      [1, 'q0', 'd4', 'd3', 'd2', 'd1', 'd5'],
    ]);
    expect(scored).not.toHaveProperty('runs');
  });
});
