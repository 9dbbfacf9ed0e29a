import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { candidatesOf, LetterEncoder } from '../../test/support/candidate-sets.ts';
import type { ScoredDocument } from '../measures/index.ts';
import type { SearchIndex } from '../search/index.ts';
import { Random, UsageError } from '../system/index.ts';
import { embedSets } from './embed-sets.ts';
import type { CandidateSet } from './rewards/candidate-set.ts';
import { checkRewards } from './rewards/open-rewards.ts';
import { functionReward, loadReward } from './rewards/own-reward.ts';
import { checkMixture, type Reward, scoreMixture } from './rewards/reward.ts';
import { DenseCandidateSearch, RetrieverCandidateSearch, SearchReward } from './rewards/search-reward.ts';
import { RankReward, ranksOf, SimilarityReward, ZScoreReward } from './rewards/target-rewards.ts';

async function setOf(
  texts: readonly string[],
  { gold = ['aaab'], answer, query = 'z' }: { gold?: string[]; answer?: string; query?: string } = {},
): Promise<CandidateSet> {
  const documents = gold.map((text, at) => ({ id: `d${at}`, text }));
  const [made] = await embedSets(
    new LetterEncoder(),
    [
      {
        query: { id: 'q', text: query, documents: documents.map(({ id }) => id) },
        gold: documents,
        answer: answer === undefined ? undefined : { queryId: 'q', documentId: 'd0', text: answer, attempts: 1 },
        candidates: candidatesOf('q', texts),
      },
    ],
    { expansionRole: 'query' },
  );
  return made!;
}

const scores = async (reward: Reward, item: CandidateSet) => [...(await reward.score(item))];

describe('ranksOf', () => {
  it('gives equal values the better rank and counts all that are better', () => {
    expect([...ranksOf([0.2, 0.7, 0.9, 0.7])]).toEqual([4, 2, 1, 2]);
    expect([...ranksOf([])]).toEqual([]);
  });
});

describe('rank rewards', () => {
  it('are 1 / rank by cosine to the gold document and to the answer', async () => {
    // Cosines to aaab (3, 1): a .949, ab .894, b .316, aaab 1.
    const item = await setOf(['a', 'ab', 'b', 'aaab'], { answer: 'b' });
    expect([...item.similarities.gold]).toEqual([0.948683, 0.894427, 0.316228, 1]);
    expect(await scores(new RankReward('gold'), item)).toEqual([1 / 2, 1 / 3, 1 / 4, 1].map(Math.fround));
    // To b: 0, .707, 1, .316.
    expect(await scores(new RankReward('answer'), item)).toEqual([1 / 4, 1 / 2, 1, 1 / 3].map(Math.fround));
  });

  it('let duplicates share a rank without lowering others', async () => {
    const item = await setOf(['b', 'a', 'aaab', 'aaab', 'a']);
    expect(await scores(new RankReward('gold'), item)).toEqual([1 / 3, 1 / 2, 1, 1, 1 / 2].map(Math.fround));
  });

  it('let different texts of equal similarity share a rank', async () => {
    const item = await setOf(['b', 'ba', 'ab', 'aa']);
    expect(await scores(new RankReward('gold'), item)).toEqual([1 / 4, 1 / 2, 1 / 2, 1].map(Math.fround));
  });

  it('take the best of several gold documents', async () => {
    const item = await setOf(['b', 'ab', 'c'], { gold: ['aaab', 'b'] });
    expect([...item.similarities.gold]).toEqual([1, 0.894427, 0]);
    expect(await scores(new RankReward('gold'), item)).toEqual([1, 1 / 2, 1 / 3].map(Math.fround));
  });

  it('do not depend on the order of the candidates, and are equal for equal texts', async () => {
    const random = new Random(7);
    const texts = Array.from(
      { length: 24 },
      () => 'abc'.repeat(3).slice(random.below(9)) + 'ab'.slice(random.below(3)),
    );
    const earned = new Map<string, number>();
    for (let round = 0; round < 20; round++) {
      const item = await setOf(random.shuffle([...texts]), { answer: 'bbc' });
      const [scored] = await scoreMixture(
        [
          { reward: new RankReward('gold'), weight: 1 },
          { reward: new RankReward('answer'), weight: 1 },
          { reward: new ZScoreReward('gold'), weight: 0.5 },
        ],
        [item],
      );
      for (const [at, { text }] of item.candidates.entries()) {
        const before = earned.get(text);
        if (before !== undefined) expect(scored!.total[at]).toBeCloseTo(before, 6);
        earned.set(text, scored!.total[at]!);
      }
    }
    expect(earned.size).toBeGreaterThan(5);
  });
});

describe('similarity rewards', () => {
  it.each(['margin-gold', 'margin-answer'])('refuse the former name %s', async (name) => {
    const opened = checkRewards([name], { isJudged: true, isAnswered: true, loadsCode: true });
    await expect(opened).rejects.toThrow(`reward ${name} is now called ${name.replace('margin', 'zScore')}`);
  });

  it('of a target that is not there are none', async () => {
    const item = await setOf(['a', 'b']);
    for (const reward of [new RankReward('answer'), new SimilarityReward('answer'), new ZScoreReward('answer')]) {
      expect(await scores(reward, item)).toEqual([]);
    }
  });

  it('keep the margin', async () => {
    const item = await setOf(['a', 'b'], { answer: 'b' });
    expect(await scores(new SimilarityReward('gold'), item)).toEqual([0.948683, 0.316228].map(Math.fround));
    expect(await scores(new SimilarityReward('answer'), item)).toEqual([0, 1]);
  });

  it('in standard deviations have mean 0 and deviation 1 over the distinct texts', async () => {
    const item = await setOf(['a', 'a', 'a', 'b']);
    expect(await scores(new ZScoreReward('gold'), item)).toEqual([1, 1, 1, -1]);
    expect(await scores(new ZScoreReward('gold'), await setOf(['a', 'a']))).toEqual([0, 0]);
  });

  it('of an empty vector are 0', async () => {
    expect([...(await setOf(['1', 'a'])).similarities.gold]).toEqual([0, 0.948683]);
  });
});

describe('embedSets', () => {
  it('embeds each distinct text once, in the role of the evaluation', async () => {
    const encoder = new LetterEncoder();
    const query = { id: 'q', text: 'ask', documents: ['d'] };
    const answer = { queryId: 'q', documentId: 'd', text: 'reply', attempts: 1 };
    const candidates = candidatesOf('q', ['x', 'y', 'x']);
    await embedSets(encoder, [{ query, gold: [{ id: 'd', text: 'gold' }], answer, candidates }], {
      expansionRole: 'document',
    });
    expect(encoder.calls).toEqual([
      ['ask', 'query'],
      ['x', 'document'],
      ['y', 'document'],
      ['gold', 'document'],
      ['reply', 'document'],
    ]);
  });
});

/** Ranks documents by their dot product with the query: each has one dimension of the letter encoder. */
function letterIndex(documents: Record<string, string>): SearchIndex<Float32Array> {
  return {
    size: Object.keys(documents).length,
    async search(queries, k) {
      const rows = queries.length / 26;
      return Array.from({ length: rows }, (_row, row) => {
        const hits: ScoredDocument[] = Object.entries(documents).map(([id, letter]) => ({
          id,
          score: queries[row * 26 + letter.charCodeAt(0) - 97]!,
        }));
        return hits.sort((a, b) => b.score - a.score || (a.id < b.id ? 1 : -1)).slice(0, k);
      });
    },
  };
}

describe('search rewards', () => {
  const index = letterIndex({ da: 'a', db: 'b', dc: 'c', q: 'd' });
  const search = new DenseCandidateSearch(index, { alpha: 0.5, fingerprint: 'x' });
  const qrels = new Map([['q', new Map([['da', 1]])]]);

  it('are the change of the measure against the query alone, of the combined vector', async () => {
    // The query alone finds db, da, dc: rank 2.
    const item = await setOf(['aa', 'ab', 'c', 'bbcc'], { query: 'bba' });
    // With aa: a 1.5, b 1. With ab: b 1.5, a 1. With c: b 1, then c and a .5: dc before da. With bbcc: b 2, c 1, a .5.
    const reward = new SearchReward('MRR@10', search, qrels);
    expect(reward.name).toBe('change-MRR@10');
    expect(await scores(reward, item)).toEqual([1 / 2, 0, 1 / 3 - 1 / 2, 1 / 3 - 1 / 2].map(Math.fround));
    const ndcg = new SearchReward('ndcg_cut_10', search, qrels);
    const before = 1 / Math.log2(3);
    expect(ndcg.name).toBe('change-nDCG@10');
    expect((await scores(ndcg, item))[0]).toBeCloseTo(1 - before, 6);
    expect(await scores(new SearchReward('Recall@1', search, qrels), item)).toEqual([1, 0, 0, 0]);
  });

  it('drop the document that is the query itself, as the evaluation does', async () => {
    // q itself leads with 3 d; da comes next.
    const item = await setOf(['c'], { query: 'ddda' });
    const kept = new SearchReward('MRR@10', search, qrels, { dropSelf: false });
    expect(await scores(new SearchReward('Recall@1', search, qrels), item)).toEqual([-1]);
    expect(await scores(kept, item)).toEqual([Math.fround(1 / 3 - 1 / 2)]);
  });

  it('keep the document that is the query itself if the query judges it relevant', async () => {
    // q itself leads with 3 d and with the mean of 3 d and c.
    const item = await setOf(['c', 'aaaa'], { query: 'ddda' });
    const judged = new Map([['q', new Map([['q', 1]])]]);
    expect(await scores(new SearchReward('MRR@10', search, judged), item)).toEqual([0, -0.5]);
    expect(await scores(new SearchReward('MRR@10', search, new Map([['q', new Map([['q', 0]])]])), item)).toEqual([
      0, 0,
    ]);
  });

  it('score many queries like one, also through a retriever of texts', async () => {
    const items = [await setOf(['aa', 'c', 'aa'], { query: 'bba' }), await setOf(['b'], { query: 'c' })];
    const dense = new SearchReward('MRR@10', search, qrels);
    const all = await dense.scoreAll(items);
    expect(all.map((values) => [...values])).toEqual([await scores(dense, items[0]!), await scores(dense, items[1]!)]);
    const asked: string[] = [];
    const texts = new RetrieverCandidateSearch(
      {
        settings: { kind: 'toy' },
        async retrieve(queries) {
          asked.push(...queries.map(({ text, expansions }) => [text, ...expansions].join('+')));
          return {
            run: new Map(
              queries.map(({ id, expansions }) => [id, expansions[0] === 'aa' ? [{ id: 'da', score: 1 }] : []]),
            ),
          };
        },
      },
      'corpus',
    );
    const through = await new SearchReward('MRR@10', texts, qrels).scoreAll(items);
    expect(asked).toEqual(['bba', 'bba+aa', 'bba+c', 'c', 'c+b']);
    expect(through.map((values) => [...values])).toEqual([[1, 0, 1], [0]]);
  });

  it('judge by the gold documents if the query has no judgements', async () => {
    const item = await setOf(['aa'], { query: 'bba' });
    const reward = new SearchReward('MRR@10', search, new Map());
    expect(await scores(reward, { ...item, query: { ...item.query, documents: ['dc'] } })).toEqual([0]);
    expect(await scores(reward, { ...item, query: { ...item.query, documents: ['da'] } })).toEqual([0.5]);
  });

  it('refuse a query whose relevant documents are not in the corpus: its rewards would silently be zero', async () => {
    const ids = () => ['da', 'db'];
    const known = new DenseCandidateSearch(index, { alpha: 0.5, fingerprint: 'x', ids });
    const item = await setOf(['aa'], { query: 'bba' });
    const foreign = new Map([['q', new Map(Object.entries({ x: 1, da: 0, y: 2 }))]]);
    expect(await scores(new SearchReward('MRR@10', known, qrels), item)).toEqual([0.5]);
    const many = (count: number) =>
      new Map([['q', new Map(Array.from({ length: count }, (_none, at) => [`x${at}`, 1]))]]);
    const refusal = async (count: number) =>
      String(await scores(new SearchReward('MRR@10', known, many(count)), item).catch((error: Error) => error.message));
    expect(await refusal(30)).toMatch(/\("x0", "x1", .* and \d+ more\)/);
    const [named, more] = [(await refusal(30)).match(/"x\d+"/g)!.length, /and (\d+) more/.exec(await refusal(30))![1]];
    expect(named + Number(more)).toBe(30);
    expect(await refusal(named)).not.toContain('more');
    const texts = new RetrieverCandidateSearch({ settings: {}, retrieve: async () => ({ run: new Map() }) }, 'c', ids);
    for (const search of [known, texts]) {
      await expect(scores(new SearchReward('MRR@10', search, foreign), item)).rejects.toThrow(
        /id "q": no relevant document of the query is in the corpus \("x", "y"\): change-MRR@10/,
      );
    }
  });

  it('search to the depth of the measure, and one deeper where the query itself may be found', async () => {
    const depths: number[] = [];
    const recording = {
      fingerprint: 'x',
      async search(_items: readonly CandidateSet[], depth: number) {
        depths.push(depth);
        return [{ raw: [], expanded: [[]] }];
      },
    };
    const item = await setOf(['a']);
    for (const measure of ['MRR@10', 'MAP']) {
      for (const dropSelf of [true, false]) {
        expect(await scores(new SearchReward(measure, recording, qrels, { dropSelf }), item)).toEqual([0]);
      }
    }
    expect(depths).toEqual([11, 10, 1001, 1000]);
  });

  it('read the ids of the corpus once, and again if that failed', async () => {
    let reads = 0;
    const ids = () => {
      reads++;
      if (reads === 1) throw new Error('out of reach');
      return ['da'];
    };
    const { holds } = new DenseCandidateSearch(index, { alpha: 0.5, fingerprint: 'x', ids });
    await expect(holds!('da')).rejects.toThrow(/out of reach/);
    expect([await holds!('da'), await holds!('db')]).toEqual([true, false]);
    expect(reads).toBe(2);
  });

  it('refuse measures that only count', () => {
    expect(() => new SearchReward('num_ret', search, qrels)).toThrow(/cannot be used to compare searches/);
    expect(() => new SearchReward('Hole@10', search, qrels)).toThrow(/cannot be used to compare searches/);
  });
});

describe('a mixture', () => {
  it('sums weight times reward', async () => {
    const item = await setOf(['a', 'b'], { answer: 'b' });
    const [scored] = await scoreMixture(
      [
        { reward: new RankReward('gold'), weight: 2 },
        { reward: new RankReward('answer'), weight: 0.5 },
        { reward: functionReward('short', ({ candidates }) => candidates.map(({ text }) => -text.length)), weight: 1 },
      ],
      [item],
    );
    expect([...scored!.total]).toEqual([2 * 1 + 0.5 * 0.5 - 1, 2 * 0.5 + 0.5 * 1 - 1]);
    expect([...scored!.rewards.keys()]).toEqual(['rank-gold', 'rank-answer', 'short']);
  });

  it.each([
    ['too few values', () => [1], /returned 1 values for 2 candidates/],
    ['no number', () => [1, Number.NaN], /returned NaN for candidate q#1/],
    [
      'an error',
      () => {
        throw new Error('no luck');
      },
      /id "q": reward mine failed: no luck/,
    ],
  ])('refuses %s of a custom reward', async (_what, score, message) => {
    const item = await setOf(['a', 'b']);
    await expect(scoreMixture([{ reward: functionReward('mine', score), weight: 1 }], [item])).rejects.toThrow(message);
  });

  it('refuses a repeated name, no reward at all, and an invalid weight', () => {
    const reward = new RankReward('gold');
    expect(() => checkMixture([])).toThrow(/no reward/);
    expect(() =>
      checkMixture([
        { reward, weight: 1 },
        { reward, weight: 2 },
      ]),
    ).toThrow(/rank-gold is given twice/);
    expect(() => checkMixture([{ reward, weight: Number.NaN }])).toThrow(/weight of reward rank-gold is NaN/);
  });
});

describe('a reward of a module', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'own-reward-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('is loaded, and has another fingerprint if its source changes', async () => {
    const file = join(folder, 'brief.mjs');
    await writeFile(
      file,
      'export const needsAnswer = true;\nexport default ({ query, gold, answer, candidates }) => candidates.map((one) => one.similarityAnswer + gold.length + answer.length + query.text.length);\n',
    );
    const reward = await loadReward(file);
    expect(reward).toMatchObject({ name: 'brief', needsAnswer: true });
    expect(await scores(reward, await setOf(['a', 'b'], { answer: 'b' }))).toEqual([3, 4]);
    await writeFile(file, 'export const score = () => [];\n');
    const edited = await loadReward(file);
    expect(edited.fingerprint).not.toBe(reward.fingerprint);
    expect(edited.needsAnswer).toBe(false);
  });

  it('reads the cosines of each candidate; that to the answer only if there is one', async () => {
    const read = functionReward('read', ({ answer, candidates }) => {
      expect(answer).toBeUndefined();
      expect(candidates.map(({ similarityAnswer }) => similarityAnswer)).toEqual([undefined, undefined, undefined]);
      return candidates.map(({ similarityGold }) => similarityGold);
    });
    // Two of the three are one text: cosines belong to texts, rewards to candidates.
    expect(await scores(read, await setOf(['b', 'aaab', 'b']))).toEqual([0.316228, 1, 0.316228].map(Math.fround));
  });

  it('must be there and export a function', async () => {
    const file = join(folder, 'nothing.mjs');
    await expect(loadReward(file)).rejects.toThrow(/no such file/);
    await writeFile(file, 'export const rewards = 1;\n');
    await expect(loadReward(file)).rejects.toThrow(/exports no reward function/);
    const broken = join(folder, 'broken.mjs');
    await writeFile(broken, 'export default (\n');
    await expect(loadReward(broken)).rejects.toThrow(/cannot be loaded/);
  });
});

describe('checkRewards', () => {
  const all = { isJudged: true, isAnswered: true, loadsCode: true };

  it('names each reward with its weight, its kind and whether it reads answers', async () => {
    const named = await checkRewards(['rank-gold', 'rank-answer=0.5', 'change-MRR@10=2'], all);
    expect(named.map(({ name, weight, kind, needsAnswer }) => [name, weight, kind, needsAnswer])).toEqual([
      ['rank-gold', 1, 'of the set', false],
      ['rank-answer', 0.5, 'of the set', true],
      ['change-MRR@10', 2, 'search', false],
    ]);
  });

  it.each([
    ['no reward', [], all, /no reward has a weight/],
    ['an unknown measure', ['change-quality'], all, /no measure "quality"/],
    ['a measure that only counts', ['change-num_ret'], all, /cannot be used to compare/],
    ['a search without judgements', ['change-MRR@10'], { ...all, isJudged: false }, /change-MRR@10/],
    ['a reward that reads answers, without answers', ['rank-answer'], { ...all, isAnswered: false }, /rank-answer/],
  ] as const)('refuses %s', async (_what, reward, options, message) => {
    await expect(checkRewards(reward, options)).rejects.toThrow(message);
  });

  it('requires judgements and answers only if they are read', async () => {
    const none = { ...all, isJudged: false, isAnswered: false };
    expect(await checkRewards(['rank-gold'], none)).toHaveLength(1);
    expect(await checkRewards(['change-MRR@10'], { ...none, isJudged: true })).toHaveLength(1);
  });
});

it('a function has the fingerprint of its source, or the one it is given', () => {
  const [one, other] = [() => [1], () => [2]];
  const print = (score: () => number[], fingerprint?: string) =>
    functionReward('mine', score, { fingerprint }).fingerprint;
  expect(print(one)).not.toBe(print(other));
  expect(print(one, 'v1')).toBe(print(other, 'v1'));
  expect(print(one, 'v1')).not.toBe(print(one, 'v2'));
});

it('a typed error of a custom reward is passed on unchanged; any other error names the query', async () => {
  const item = await setOf(['a']);
  const known = new UsageError('no such thing', { fix: 'Do another.' });
  const failing = (error: unknown) => functionReward('mine', () => Promise.reject(error), {});
  await expect(failing(known).score(item)).rejects.toBe(known);
  await expect(failing(new Error('oh')).score(item)).rejects.toThrow(/id "q".*reward mine failed: oh/);
  await expect(failing('oh').score(item)).rejects.toThrow(/reward mine failed: oh/);
});
