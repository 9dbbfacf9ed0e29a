import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { candidatesOf, LetterEncoder } from '../../test/support/candidate-sets.ts';
import { type RewardRecord, readPairs, type TrainingQuery } from '../data/index.ts';
import { PROMPTS } from '../generate/index.ts';
import { SILENT } from '../system/index.ts';
import { buildPairs, type PairOptions } from './pairs/build-pairs.ts';
import { defaultPairSettings } from './pairs/pair-settings.ts';
import { IdStream } from './query-groups.ts';
import { type RewardOptions, rewardCandidates } from './reward-candidates.ts';
import { readRewardSummary } from './reward-summary.ts';
import { functionReward } from './rewards/own-reward.ts';
import type { Reward } from './rewards/reward.ts';
import { RankReward } from './rewards/target-rewards.ts';

let folder: string;
let file: (name: string) => string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rewards-'));
  file = (name) => join(folder, name);
});
afterEach(() => rm(folder, { recursive: true }));

const QUERIES: TrainingQuery[] = Array.from({ length: 6 }, (_one, at) => ({
  id: `q${at}`,
  text: `question ${at}`,
  documents: [`d${at}`],
  goldText: 'aaab',
}));
const TEXTS = ['a', 'ab', 'b', 'aaab'];

async function write(name: string, rows: readonly object[]): Promise<string> {
  await writeFile(file(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file(name);
}

/** The manifest of six queries with four candidates each, for a file of them. */
function writeManifest(stage: string, { finished = true } = {}): Promise<void> {
  const settings = { samples: 2, temperatures: [0.8, 1] };
  const manifest = { stage, version: '1', key: 'k', settings, about: {}, ...(finished && { result: { queries: 6 } }) };
  return writeFile(file(`${stage}.manifest.json`), JSON.stringify(manifest));
}

const answersOf = (queries: readonly TrainingQuery[], text = 'b') =>
  queries.map(({ id, documents }) => ({ queryId: id, documentId: documents[0]!, text, attempts: 1 }));

async function writeInputs(): Promise<void> {
  await write(
    'candidates.jsonl',
    QUERIES.flatMap(({ id }) => candidatesOf(id, TEXTS)),
  );
  await write('answers.jsonl', answersOf(QUERIES));
}

const PUBLISHED = (['gold', 'answer'] as const).map((target) => ({ reward: new RankReward(target), weight: 1 }));

function rewardOptions(more: Partial<RewardOptions> = {}): RewardOptions {
  return {
    queries: QUERIES,
    candidates: file('candidates.jsonl'),
    answers: file('answers.jsonl'),
    encoder: new LetterEncoder(),
    mixture: PUBLISHED,
    out: file('rewards.jsonl'),
    batch: 2,
    ...more,
  };
}

function pairOptions(
  settings: Parameters<typeof defaultPairSettings>[0] = {},
  more: Partial<PairOptions> = {},
): PairOptions {
  return {
    queries: () => QUERIES,
    candidates: file('candidates.jsonl'),
    rewards: file('rewards.jsonl'),
    answers: file('answers.jsonl'),
    prompt: PROMPTS.q2d,
    settings: defaultPairSettings(settings),
    out: file('pairs.jsonl'),
    devOut: file('pairs-dev.jsonl'),
    auditOut: file('audit.json'),
    ...more,
  };
}

async function rewardsIn(name = 'rewards.jsonl'): Promise<RewardRecord[]> {
  const lines = (await readFile(file(name), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as RewardRecord);
}

describe('rewardCandidates', () => {
  it('writes the rewards of each candidate, and a summary', async () => {
    await writeInputs();
    const { summary, reused } = await rewardCandidates(rewardOptions());
    const rewards = await rewardsIn();
    expect(rewards).toHaveLength(24);
    expect(rewards[3]).toEqual({
      queryId: 'q0',
      candidateId: 'q0#3',
      rewards: { 'rank-gold': 1, 'rank-answer': 0.3333333 },
      similarity: { gold: 1, answer: 0.316228 },
      ranks: { gold: 1, answer: 3 },
      total: 1.333333,
    });
    expect(reused).toBe(0);
    expect(summary).toMatchObject({ queries: 6, candidates: 24, empty: 0, duplicates: 0 });
    expect(await readRewardSummary(file('rewards.jsonl'))).toEqual(summary);
  });

  it('skips empty candidates, and queries without an answer if the reward reads it', async () => {
    await write('candidates.jsonl', [
      ...candidatesOf('q0', ['a', '', 'b', 'a']),
      ...candidatesOf('q1', TEXTS),
      ...candidatesOf('q2', [' ', '']),
      ...candidatesOf('q3', TEXTS),
    ]);
    await write('answers.jsonl', [...answersOf(QUERIES.slice(0, 1)), ...answersOf(QUERIES.slice(1, 2), ' ')]);
    const { summary } = await rewardCandidates(rewardOptions());
    expect((await rewardsIn()).map(({ candidateId }) => candidateId)).toEqual(['q0#0', 'q0#2', 'q0#3']);
    expect(summary).toMatchObject({
      queries: 1,
      candidates: 3,
      empty: 3,
      duplicates: 1,
      dropped: { 'no answer': 2, 'only empty candidates': 1 },
    });
    const without = await rewardCandidates(rewardOptions({ answers: undefined, mixture: PUBLISHED.slice(0, 1) }));
    expect(without.summary.dropped).toEqual({ 'no answer': 0, 'only empty candidates': 1 });
    expect((await rewardsIn())[0]!.ranks).toEqual({ gold: 1 });
  });

  it('counts queries for which candidates were requested but are missing, for the audit too', async () => {
    await writeInputs();
    await write(
      'candidates.jsonl',
      QUERIES.slice(0, 4).flatMap(({ id }) => candidatesOf(id, TEXTS)),
    );
    await writeManifest('candidates');
    const { summary } = await rewardCandidates(rewardOptions());
    expect(summary).toMatchObject({ queries: 4, dropped: { 'no candidates': 2, 'no answer': 0 } });
    const { audit } = await buildPairs(pairOptions());
    expect(audit.queries).toEqual({ all: 6, kept: 4, dropped: { 'no candidates': 2 } });
  });

  it('joins by id: the order of queries and answers does not matter', async () => {
    await writeInputs();
    await rewardCandidates(rewardOptions());
    const expected = await readFile(file('rewards.jsonl'), 'utf8');
    await write('answers.jsonl', answersOf(QUERIES).reverse());
    await rewardCandidates(rewardOptions({ queries: [...QUERIES].reverse(), out: file('other.jsonl') }));
    expect(await readFile(file('other.jsonl'), 'utf8')).toBe(expected);
  });

  it('resumes where it was stopped, and ends with the same file', async () => {
    await writeInputs();
    await rewardCandidates(rewardOptions({ out: file('whole.jsonl') }));
    const stop = new AbortController();
    let asked = 0;
    const stopping: Reward = functionReward('late', ({ candidates }) => {
      if (++asked === 3) stop.abort();
      return candidates.map(() => 1);
    });
    const mixture = [...PUBLISHED, { reward: stopping, weight: 0 }];
    await expect(rewardCandidates(rewardOptions({ mixture, signal: stop.signal }))).rejects.toThrow(
      /stopped with \d queries/,
    );
    expect((await readFile(file('rewards.jsonl.journal'), 'utf8')).trimEnd().split('\n').length).toBeLessThan(6);
    const { reused } = await rewardCandidates(rewardOptions({ mixture }));
    expect(reused).toBe(4);
    expect(asked).toBe(6);
    const totals = (name: string) =>
      rewardsIn(name).then((rows) => rows.map(({ candidateId, total }) => [candidateId, total]));
    expect(await totals('rewards.jsonl')).toEqual(await totals('whole.jsonl'));
  });

  it('repeats nothing, and rewards again only what changed', async () => {
    await writeInputs();
    await rewardCandidates(rewardOptions());
    const first = await readFile(file('rewards.jsonl'), 'utf8');
    const encoder = new LetterEncoder();
    expect(await rewardCandidates(rewardOptions({ encoder }))).toMatchObject({ reused: 6 });
    expect(encoder.calls).toEqual([]);
    expect(await readFile(file('rewards.jsonl'), 'utf8')).toBe(first);
    await write('answers.jsonl', [...answersOf(QUERIES.slice(0, 1), 'ab'), ...answersOf(QUERIES.slice(1))]);
    expect(await rewardCandidates(rewardOptions())).toMatchObject({ reused: 5 });
    expect((await rewardsIn()).filter(({ queryId }) => queryId === 'q0')).toHaveLength(4);
    expect(await rewardCandidates(rewardOptions({ encoder: new LetterEncoder('retrained') }))).toMatchObject({
      reused: 0,
    });
    expect(await rewardsIn()).toHaveLength(24);
    // The journal now holds these rewards of q0 twice, and others between them.
    await writeInputs();
    await rewardCandidates(rewardOptions());
    expect(await readFile(file('rewards.jsonl'), 'utf8')).toBe(first);
  });

  it.each<[string, () => Promise<Partial<RewardOptions>>, number]>([
    ['nothing', async () => ({}), 6],
    ['the text of a query', async () => ({ queries: [{ ...QUERIES[0]!, text: 'other' }, ...QUERIES.slice(1)] }), 5],
    ['a gold text', async () => ({ queries: [{ ...QUERIES[0]!, goldText: 'b' }, ...QUERIES.slice(1)] }), 5],
    ['a weight', async () => ({ mixture: [PUBLISHED[0]!, { ...PUBLISHED[1]!, weight: 2 }] }), 0],
    ['the role', async () => ({ expansionRole: 'document' }), 0],
    [
      'the text of a candidate',
      async () => {
        const texts = (id: string) => (id === 'q0' ? ['c', ...TEXTS.slice(1)] : TEXTS);
        await write(
          'candidates.jsonl',
          QUERIES.flatMap(({ id }) => candidatesOf(id, texts(id))),
        );
        return {};
      },
      5,
    ],
    [
      'a temperature',
      async () => {
        await write(
          'candidates.jsonl',
          QUERIES.flatMap(({ id }) => candidatesOf(id, TEXTS, id === 'q0' ? 0.5 : 1)),
        );
        return {};
      },
      5,
    ],
  ])('rewards again what depends on %s', async (_what, change, reused) => {
    await writeInputs();
    await rewardCandidates(rewardOptions());
    expect(await rewardCandidates(rewardOptions(await change()))).toMatchObject({ reused });
  });

  it('scores queries in batches, and candidates in the order of their indexes', async () => {
    await writeInputs();
    await rewardCandidates(rewardOptions({ out: file('usual.jsonl') }));
    await write(
      'candidates.jsonl',
      QUERIES.flatMap(({ id }) => candidatesOf(id, TEXTS).reverse()),
    );
    const batches: number[] = [];
    const counting: Reward = {
      ...functionReward('counting', () => []),
      async scoreAll(items) {
        batches.push(items.length);
        return items.map(({ candidates }) => new Float32Array(candidates.length));
      },
    };
    await rewardCandidates(rewardOptions({ mixture: [...PUBLISHED, { reward: counting, weight: 1 }], batch: 4 }));
    expect(batches).toEqual([4, 2]);
    const places = (rows: RewardRecord[]) => rows.map(({ candidateId, total }) => [candidateId, total]);
    expect(places(await rewardsIn())).toEqual(places(await rewardsIn('usual.jsonl')));
  });

  it('takes the texts of further gold documents from the corpus', async () => {
    await writeInputs();
    const queries = QUERIES.map((query) => ({ ...query, documents: [...query.documents, 'd9'] }));
    const goldTexts = new Map([['d9', 'b']]);
    await rewardCandidates(rewardOptions({ queries, goldTexts }));
    // a to aaab, ab to aaab, b to b, aaab to itself.
    const similarities = (await rewardsIn()).slice(0, 4).map(({ similarity }) => similarity.gold);
    expect(similarities).toEqual([0.948683, 0.894427, 1, 1]);
  });

  it.each<[string, () => Promise<unknown>, RegExp]>([
    [
      'candidates of an unknown query',
      () => write('candidates.jsonl', candidatesOf('x', TEXTS)),
      /:1, id "x": these candidates/,
    ],
    [
      'an answer out of another document',
      () => write('answers.jsonl', [{ queryId: 'q0', documentId: 'd9', text: 'b', attempts: 1 }]),
      /id "q0": the answer was made from "d9"/,
    ],
    [
      'two answers to a query',
      () => write('answers.jsonl', [...answersOf(QUERIES), ...answersOf(QUERIES)]),
      /:7, id "q0"/,
    ],
    [
      'candidates that are not consecutive',
      () =>
        write('candidates.jsonl', [
          ...candidatesOf('q0', ['a']),
          ...candidatesOf('q1', ['a']),
          ...candidatesOf('q0', ['b']),
        ]),
      /:3, id "q0": the lines of this query are not consecutive/,
    ],
    [
      'a candidate twice',
      () => write('candidates.jsonl', [...candidatesOf('q0', ['a']), ...candidatesOf('q0', ['a'])]),
      /:2, id "q0#0": the candidate occurs twice/,
    ],
    [
      'an id that does not fit',
      () =>
        write(
          'candidates.jsonl',
          candidatesOf('q0', ['a']).map((one) => ({ ...one, candidateId: 'q1#0' })),
        ),
      /id "q1#0": candidate 0 of query "q0" has this id/,
    ],
    [
      'candidates that are not finished',
      () => writeManifest('candidates', { finished: false }),
      /candidates\.jsonl: the file is not finished/,
    ],
    [
      'answers that are not finished',
      () => writeManifest('answers', { finished: false }),
      /answers\.jsonl: the file is not finished/,
    ],
    [
      'a query that lost candidates',
      async () => {
        await write('candidates.jsonl', [...candidatesOf('q0', TEXTS), ...candidatesOf('q1', TEXTS.slice(2))]);
        await writeManifest('candidates');
      },
      /:5, id "q1": the query has 2 of its 4 candidates/,
    ],
    [
      'a broken line',
      () => writeFile(file('candidates.jsonl'), '{"queryId":"q0"}\n'),
      /candidates\.jsonl:1: candidateId/,
    ],
    ['a broken line behind the last answer', () => appendFile(file('answers.jsonl'), '{}\n'), /answers\.jsonl:7: /],
  ])('refuses %s', async (_what, prepare, message) => {
    await writeInputs();
    await prepare();
    await expect(rewardCandidates(rewardOptions())).rejects.toThrow(message);
  });

  it('refuses a reward that reads answers if there are none, and gold documents without text', async () => {
    await writeInputs();
    await expect(rewardCandidates(rewardOptions({ answers: undefined }))).rejects.toThrow(
      /reward rank-answer reads answers/,
    );
    const queries = QUERIES.map(({ id, text, documents }) => ({ id, text, documents }));
    await expect(rewardCandidates(rewardOptions({ queries }))).rejects.toThrow(/text of gold document "d0" is missing/);
    const goldTexts = new Map(QUERIES.map(({ documents }) => [documents[0]!, 'aaab']));
    expect((await rewardCandidates(rewardOptions({ queries, goldTexts }))).summary.queries).toBe(6);
  });
});

describe('IdStream', () => {
  it('keeps records that wait, but none that will not be requested', async () => {
    const ids = ['a', 'b', 'c', 'd'];
    const stream = new IdStream(
      ids,
      (id) => id,
      (id) => id !== 'a',
    );
    expect([await stream.take('c'), await stream.take('b'), await stream.take('a')]).toEqual(['c', 'b', undefined]);
  });
});

describe('buildPairs', () => {
  /** The totals are a 1/2 + 1/4, ab 1/3 + 1/2, b 1/4 + 1, aaab 1 + 1/3: aaab against a. */
  async function reward(): Promise<void> {
    await writeInputs();
    await rewardCandidates(rewardOptions());
  }

  it('pairs best against worst, and draws dev pairs', async () => {
    await reward();
    const { audit, files } = await buildPairs(pairOptions({ dev: 2 }));
    const train = (await readPairs(files.pairs)).pairs;
    const dev = (await readPairs(files.dev!)).pairs;
    expect([train.length, dev.length]).toEqual([4, 2]);
    expect([...train, ...dev].map(({ queryId }) => queryId).sort()).toEqual(QUERIES.map(({ id }) => id));
    const [pair] = train;
    expect(pair).toEqual({
      id: `${pair!.queryId}/0`,
      queryId: pair!.queryId,
      prompt: PROMPTS.q2d.messages({ id: '', query: `question ${pair!.queryId.slice(1)}` }),
      chosen: [{ role: 'assistant', content: 'aaab' }],
      rejected: [{ role: 'assistant', content: 'a' }],
      chosenId: `${pair!.queryId}#3`,
      rejectedId: `${pair!.queryId}#0`,
      chosenReward: 1.333333,
      rejectedReward: 0.75,
    });
    expect(audit.queries).toEqual({ all: 6, kept: 6, dropped: {} });
    expect(audit.pairs).toEqual({ built: 6, repeated: 0, train: 4, dev: 2, left: 0 });
    expect(JSON.parse(await readFile(file('audit.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(audit)));
  });

  it('writes the same bytes each time, and other pairs for another seed', async () => {
    await reward();
    const bytes = async (seed: number) => {
      const { files } = await buildPairs(pairOptions({ pairs: 3, dev: 1, seed }));
      return (await readFile(files.pairs, 'utf8')) + (await readFile(files.dev!, 'utf8'));
    };
    expect(await bytes(1)).toBe(await bytes(1));
    expect(await bytes(1)).not.toBe(await bytes(2));
  });

  it('also writes the published layout', async () => {
    await reward();
    const { files } = await buildPairs(pairOptions({ dev: 0 }, { layout: 'conversations' }));
    expect(files.dev).toBeUndefined();
    const [row] = (await readFile(files.pairs, 'utf8')).split('\n');
    expect(JSON.parse(row!)).toMatchObject({
      conversations: [{ from: 'human', value: expect.stringContaining('question 0') }],
      chosen: { from: 'gpt', value: 'aaab' },
    });
    expect((await readPairs(files.pairs)).pairs).toHaveLength(6);
  });

  it('removes earlier dev pairs if new ones are trained on', async () => {
    await reward();
    expect((await buildPairs(pairOptions({ dev: 1 }))).removed).toBeUndefined();
    const { files, removed } = await buildPairs(pairOptions({ dev: 0 }));
    expect((await readPairs(files.pairs)).pairs).toHaveLength(6);
    expect(removed).toBe(file('pairs-dev.jsonl'));
    await expect(readFile(file('pairs-dev.jsonl'))).rejects.toThrow(/ENOENT/);
    expect((await buildPairs(pairOptions({ dev: 0 }))).removed).toBeUndefined();
  });

  it('filters by the best summed similarity, as published or by quantile', async () => {
    // To the gold text and the answer b: aaab 1 + .316, b .316 + 1, ab .894 + .707 = 1.601.
    await write('candidates.jsonl', [
      ...candidatesOf('q0', TEXTS),
      ...candidatesOf('q1', ['c', 'd']),
      ...candidatesOf('q2', ['c', 'a']),
    ]);
    await write('answers.jsonl', answersOf(QUERIES));
    await rewardCandidates(rewardOptions());
    const published = await buildPairs(pairOptions());
    expect(published.audit).toMatchObject({ threshold: 0.6, similarity: 'gold + answer' });
    expect(published.audit.queries.dropped).toEqual({ 'similarity below the threshold': 1 });
    const quantile = await buildPairs(pairOptions({ similarityQuantile: 0.5 }));
    expect(quantile.audit.threshold).toBeCloseTo(0.948683, 5);
    // Halfway from .948683 of q2 to .894427 + .707107 of q0; of the gold text alone q0 would have 1.
    const upper = await buildPairs(pairOptions({ similarityQuantile: 0.75 }));
    expect(upper.audit.threshold).toBeCloseTo((0.948683 + 0.894427 + Math.SQRT1_2) / 2, 5);
    const high = await buildPairs(pairOptions({ minSimilarity: 1.5 }));
    expect(high.audit.queries).toEqual({ all: 3, kept: 1, dropped: { 'similarity below the threshold': 2 } });
    const all = await buildPairs(pairOptions({ minSimilarity: -2 }));
    expect(all.audit.queries.dropped).toEqual({ 'all rewards equal': 1 });
  });

  it('filters by the gold document only if some queries have no answer', async () => {
    await writeInputs();
    // To the gold text: .949 for q0 to q4, .707 for q5, the only one with an answer: its sum would be 1.707.
    const texts = (id: string) => (id === 'q5' ? ['ab', 'b', 'c'] : ['a', 'b', 'c']);
    const queries = QUERIES.map((query) => ({ ...query, goldText: query.id === 'q5' ? 'a' : 'aaab' }));
    await write(
      'candidates.jsonl',
      queries.flatMap(({ id }) => candidatesOf(id, texts(id))),
    );
    await write('answers.jsonl', answersOf(queries.slice(5), 'ab'));
    await rewardCandidates(rewardOptions({ queries, mixture: PUBLISHED.slice(0, 1) }));
    const one = { queries: () => queries };
    const { audit } = await buildPairs(pairOptions({ minSimilarity: 0.9 }, one));
    expect(audit).toMatchObject({ threshold: 0.9, similarity: 'gold', queries: { kept: 5 } });
    expect(audit.rewards.bestSimilarity.max).toBeCloseTo(0.948683, 6);
    const quantile = await buildPairs(pairOptions({ similarityQuantile: 0.2 }, one));
    expect(quantile.audit.threshold).toBeCloseTo(0.948683, 6);
    expect(quantile.audit.queries.dropped).toEqual({ 'similarity below the threshold': 1 });
    // Halfway from .707107 to .948683; with its answer q5 would have the most.
    const lower = await buildPairs(pairOptions({ similarityQuantile: 0.1 }, one));
    expect(lower.audit.threshold).toBeCloseTo((Math.SQRT1_2 + 0.948683) / 2, 6);
  });

  it('counts the same pair once', async () => {
    const twins = QUERIES.map((query) => ({ ...query, text: 'the same question' }));
    await reward();
    const { audit, files } = await buildPairs(pairOptions({ dev: 0 }, { queries: () => twins }));
    expect(audit.pairs).toMatchObject({ built: 1, repeated: 5, train: 1 });
    expect(audit.queries.dropped).toEqual({ 'the same pair was built before': 5 });
    expect((await readPairs(files.pairs)).pairs).toHaveLength(1);
  });

  it('writes the pair that is new where another of the query was built before', async () => {
    const twins = QUERIES.slice(0, 2).map((query) => ({ ...query, text: 'the same question' }));
    // bb lies as b does: both queries give aaab against a; q0 b against ab, q1 bb against ab.
    const texts = { q0: TEXTS, q1: ['a', 'ab', 'bb', 'aaab'] };
    await write(
      'candidates.jsonl',
      Object.entries(texts).flatMap(([id, all]) => candidatesOf(id, all)),
    );
    await write('answers.jsonl', answersOf(twins));
    await rewardCandidates(rewardOptions({ queries: twins }));
    const options = pairOptions({ dev: 0, pairsPerQuery: 2 }, { queries: () => twins });
    const { audit, files } = await buildPairs(options);
    expect(audit.pairs).toMatchObject({ built: 3, repeated: 1, train: 3 });
    const { pairs } = await readPairs(files.pairs);
    const sides = pairs.map(({ queryId, chosen, rejected }) => [queryId, chosen[0]!.content, rejected[0]!.content]);
    expect(sides.sort()).toEqual([
      ['q0', 'aaab', 'a'],
      ['q0', 'b', 'ab'],
      ['q1', 'bb', 'ab'],
    ]);
  });

  it('shows a sample of pairs that does not depend on the order of the queries', async () => {
    const queries = Array.from({ length: 40 }, (_none, at) => ({
      ...{ id: `q${at}`, text: `question ${at}`, documents: [`d${at}`], goldText: 'aaab' },
    }));
    const shown = async (ordered: TrainingQuery[]) => {
      await write(
        'candidates.jsonl',
        ordered.flatMap(({ id }) => candidatesOf(id, TEXTS)),
      );
      await write('answers.jsonl', answersOf(ordered));
      await rewardCandidates(rewardOptions({ queries: ordered }));
      const { audit } = await buildPairs(pairOptions({ dev: 0 }, { queries: () => ordered }));
      return audit.examples.map(({ queryId }) => queryId);
    };
    const usual = await shown(queries);
    expect(new Set(usual).size).toBe(usual.length);
    expect(usual).toHaveLength(6);
    expect(await shown(queries.toReversed())).toEqual(usual);
    expect(usual).not.toEqual(queries.slice(0, 6).map(({ id }) => id));
  });

  it('audits leaks, lengths, temperatures and the two rankings', async () => {
    const gold = 'a thin saw for cutting metal';
    const queries = QUERIES.map((query) => ({ ...query, goldText: gold }));
    const texts = ['a thin saw for cutting metal', 'long words about nothing that matters here', 'zzz', 'zzz'];
    await write('candidates.jsonl', [
      ...queries.flatMap(({ id }) =>
        candidatesOf(id, texts).map((one, at) => ({ ...one, temperature: at < 2 ? 0.8 : 1.1 })),
      ),
    ]);
    await write('answers.jsonl', answersOf(queries, 'a thin saw for cutting metal'));
    await rewardCandidates(rewardOptions({ queries }));
    const { audit } = await buildPairs(pairOptions({ dev: 0 }, { queries: () => queries }));
    expect(audit.candidates).toMatchObject({ count: 24, duplicates: 0.25, quoting: 0.25, queriesQuoting: 6 });
    expect(audit.candidates.byTemperature).toEqual([
      { temperature: 0.8, candidates: 12, meanReward: expect.closeTo(1.5, 5), chosen: 6, rejected: 0 },
      { temperature: 1.1, candidates: 12, meanReward: expect.closeTo(2 / 3, 5), chosen: 0, rejected: 6 },
    ]);
    expect(audit.answers).toEqual({ count: 6, copied: 1, overlap: 1 });
    expect(audit.agreement).toMatchObject({ count: 6, mean: 1 });
    expect(audit.sides).toMatchObject({ chosenLonger: 1, chosenShorter: 0, chosenQuotes: 1, rejectedQuotes: 0 });
    expect(audit.sides.chosenWords.mean).toBe(6);
    // Best less worst of each reward: rank 1 less rank 3, which the two equal texts share.
    expect(Object.keys(audit.rewards.spread)).toEqual(['rank-gold', 'rank-answer', 'total']);
    expect(audit.rewards.spread['rank-gold']!.mean).toBeCloseTo(1 - 1 / 3, 5);
    expect(audit.rewards.spread['rank-answer']!.mean).toBeCloseTo(1 - 1 / 3, 5);
    expect(audit.rewards.spread.total!.mean).toBeCloseTo(2 - 2 / 3, 5);
    expect(audit.examples).toHaveLength(6);
    expect(audit.quotes).toHaveLength(4);
    expect(audit.quotes[0]).toMatchObject({ gold, text: gold });
    // One of four candidates overlaps, in full. The sides have 6 words and 1.
    expect(audit.candidates.overlap).toBe(0.25);
    expect(audit.agreement!.histogram).toMatchObject({ from: -1, to: 1 });
    expect(audit.sides.chosenWords.histogram).toMatchObject({ from: 0, to: 6 });
    expect(audit.sides.rejectedWords.histogram).toMatchObject({ from: 0, to: 6 });
  });

  it('audits shorter and equal sides, quotes that are rejected, and answers that copy nothing', async () => {
    const gold = 'a thin saw for cutting metal';
    const quoted = `${gold} ${'z'.repeat(9)}`;
    // By a reward that prefers short texts. q0: 1 word against the quotation's 7; q1 and q2: 1 word against 1.
    const other = ['saw', 'metals'];
    // The candidates of q3 tie by every target: it gives neither a pair nor an agreement of the rankings.
    const texts: Record<string, string[]> = { q0: ['saw', quoted], q1: other, q2: other, q3: ['saw', 'was'] };
    const queries = QUERIES.slice(0, 4).map((query) => ({ ...query, goldText: gold }));
    await write(
      'candidates.jsonl',
      queries.flatMap(({ id }) =>
        candidatesOf(id, texts[id]!).map((one, at) => ({ ...one, temperature: at === 0 ? 1.1 : 0.8 })),
      ),
    );
    // q1 has a blank answer, which is none, and q2 has no answer.
    await write('answers.jsonl', [
      ...answersOf(queries.slice(0, 1), 'a saw'),
      ...answersOf(queries.slice(1, 2), ' '),
      ...answersOf(queries.slice(3), 'zebra'),
    ]);
    const brief = functionReward('brief', ({ candidates }) => candidates.map(({ text }) => -text.length));
    await rewardCandidates(rewardOptions({ queries, mixture: [{ reward: brief, weight: 1 }] }));
    const { audit } = await buildPairs(pairOptions({ dev: 0, minSimilarity: 0 }, { queries: () => queries }));
    expect(audit.sides).toMatchObject({ chosenLonger: 0, chosenQuotes: 0 });
    expect(audit.sides.chosenShorter).toBeCloseTo(1 / 3, 12);
    expect(audit.sides.rejectedQuotes).toBeCloseTo(1 / 3, 12);
    expect(audit.answers).toEqual({ count: 2, copied: 0, overlap: 0 });
    expect(audit.candidates.byTemperature.map(({ temperature }) => temperature)).toEqual([0.8, 1.1]);
    // Only q0 and q3 are ranked by both targets.
    expect(audit.agreement!.count).toBe(1);
    await rewardCandidates(rewardOptions({ queries, mixture: [{ reward: brief, weight: 1 }], answers: undefined }));
    const without = await buildPairs(pairOptions({ dev: 0, minSimilarity: 0 }, { queries: () => queries }));
    expect(without.audit.agreement).toBeUndefined();
  });

  it('leaves empty candidates out, as the rewards do', async () => {
    await writeInputs();
    await write(
      'candidates.jsonl',
      QUERIES.flatMap(({ id }) => candidatesOf(id, ['a', ' ', 'b', 'aaab'])),
    );
    await rewardCandidates(rewardOptions());
    const { audit } = await buildPairs(pairOptions());
    expect(audit).toMatchObject({ candidates: { count: 18 }, pairs: { built: 6 } });
  });

  it.each(['choosing pairs', 'writing pairs'])('stops while %s, and writes nothing', async (label) => {
    await reward();
    const stop = new AbortController();
    const task = SILENT.task('', undefined, '');
    const progress = {
      task(name: string) {
        if (name === label) stop.abort();
        return task;
      },
    };
    const before = await readdir(folder);
    await expect(buildPairs(pairOptions({}, { signal: stop.signal, progress }))).rejects.toThrow(
      /stopped; nothing was written/,
    );
    expect(await readdir(folder)).toEqual(before);
  });

  it('writes no training pairs if the earlier dev pairs cannot be removed', async () => {
    await reward();
    await mkdir(file('pairs-dev.jsonl'));
    const before = await readdir(folder);
    await expect(buildPairs(pairOptions())).rejects.toThrow(/pairs-dev\.jsonl/);
    await expect(readFile(file('pairs.jsonl'))).rejects.toThrow(/ENOENT/);
    // Nor is anything left that was written for them.
    expect(await readdir(folder)).toEqual(before);
  });

  it.each<[string, () => Promise<unknown>, Partial<PairOptions>, RegExp]>([
    [
      'rewards of other candidates',
      () => write('candidates.jsonl', candidatesOf('q0', ['a', 'b'])),
      {},
      /rewards for candidates that do not exist/,
    ],
    [
      'candidates without a reward',
      () =>
        write(
          'candidates.jsonl',
          QUERIES.flatMap(({ id }) => candidatesOf(id, [...TEXTS, 'new'])),
        ),
      {},
      /:1, id "q0": candidate q0#4 has no reward/,
    ],
    [
      'candidates that are not finished',
      () => writeManifest('candidates', { finished: false }),
      {},
      /candidates\.jsonl: the file is not finished/,
    ],
    ['a prompt that reads the document', async () => {}, { prompt: PROMPTS.q2a }, /prompt q2a reads the gold document/],
    [
      'rewards of unknown queries',
      async () => {},
      { queries: () => QUERIES.slice(1) },
      /id "q0": these rewards belong to a query/,
    ],
    [
      'rewards of a query without candidates',
      () =>
        write(
          'candidates.jsonl',
          QUERIES.slice(1).flatMap(({ id }) => candidatesOf(id, TEXTS)),
        ),
      {},
      /:1, id "q0": there are rewards for candidates that do not exist/,
    ],
    [
      'a broken line behind the last candidates that were rewarded',
      async () => {
        await appendFile(file('candidates.jsonl'), `${JSON.stringify(candidatesOf('q8', ['a'])[0])}\n{}\n`);
      },
      {},
      /candidates\.jsonl:26: /,
    ],
    ['a broken line behind the last answer', () => appendFile(file('answers.jsonl'), '{}\n'), {}, /answers\.jsonl:7: /],
    ['a file without rewards', () => write('rewards.jsonl', []), {}, /no query gives a pair(?! \()/],
    [
      'a filter that leaves nothing',
      async () => {},
      { settings: defaultPairSettings({ minSimilarity: 2 }) },
      /no query gives a pair \(6 similarity below/,
    ],
  ])('refuses %s', async (_what, prepare, more, message) => {
    await reward();
    await prepare();
    await expect(buildPairs(pairOptions({}, more))).rejects.toThrow(message);
    await expect(readFile(file('pairs.jsonl'))).rejects.toThrow(/ENOENT/);
  });
});
