import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { candidatesOf } from '../../../test/support/candidate-sets.ts';
import { FiveCorpus, fiveDocuments } from '../../../test/support/five-documents.ts';
import { type CorpusSearch, defaultRetrievalSettings, type RetrievalSettings } from '../../retrieve/index.ts';
import { embedSets } from '../embed-sets.ts';
import { checkRewards, modulesAmong, openRewards, type RewardChoice } from './open-rewards.ts';

const open = await fiveDocuments();
const folder = await mkdtemp(join(tmpdir(), 'open-rewards-'));
afterAll(() => rm(folder, { recursive: true }));

/** The five documents as a data set that judges d1 relevant for q and for d5. */
const dataset = join(folder, 'five');
await mkdir(join(dataset, 'qrels'), { recursive: true });
const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const documents: object[] = [];
for await (const { id, title, text } of new FiveCorpus().documents()) documents.push({ _id: id, title, text });
await writeFile(join(dataset, 'corpus.jsonl'), lines(documents));
await writeFile(join(dataset, 'queries.jsonl'), lines(['q', 'd5'].map((id) => ({ _id: id, text: 'saw' }))));
await writeFile(join(dataset, 'qrels', 'test.tsv'), 'query-id\tcorpus-id\tscore\nq\td1\t1\nd5\td1\t1\n');

const FIVE = { k1: 1, b: 0, threads: 1 };

function choice(reward: string[], more: Partial<RewardChoice> = {}): RewardChoice {
  return { ...defaultRetrievalSettings(FIVE), reward, retriever: 'dense', dataset, split: 'test', ...more };
}

async function setOf(search: CorpusSearch, id: string, text: string) {
  const query = { id, text: 'saw', documents: ['d1'] };
  const sets = [{ query, gold: [{ id: 'd1', text: 'saw saw saw wood' }], candidates: candidatesOf(id, [text]) }];
  return (await embedSets(await search.encoder(), sets, { expansionRole: 'query' }))[0]!;
}

/** The reward of one candidate, out of the rewards of the settings. */
async function reward(
  measure: string,
  {
    settings = {},
    more = {},
    id = 'q',
    text = 'ship',
  }: {
    settings?: Partial<RetrievalSettings>;
    more?: Partial<RewardChoice>;
    id?: string;
    text?: string;
  } = {},
): Promise<number> {
  const search = open(settings);
  const { mixture, close } = await openRewards(choice([`change-${measure}`], { ...settings, ...more }), search, {});
  const [score] = await mixture[0]!.reward.score(await setOf(search, id, text));
  await close();
  return score!;
}

describe('the rewards that are named', () => {
  it('are opened with their weights', async () => {
    const file = join(folder, 'mine.mjs');
    await writeFile(file, 'export default ({ candidates }) => candidates.map(() => 7);\n');
    const names = ['rank-gold', 'similarity-answer=0.5', 'zScore-gold=-1', `${file}=2`, 'change-MRR@10=3'];
    const { mixture, close } = await openRewards(choice(names), open(), {});
    expect(mixture.map(({ reward, weight }) => [reward.name, weight])).toEqual([
      ['rank-gold', 1],
      ['similarity-answer', 0.5],
      ['zScore-gold', -1],
      ['mine', 2],
      ['change-MRR@10', 3],
    ]);
    await close();
    expect(modulesAmong(names)).toEqual([file]);
  });

  it('search the corpus with the vectors of the settings', async () => {
    // saw (1, 0) finds d5 12, d1 4; with half of ship, (.5, 1.5), d1 comes last with 2: rank 2, then 5.
    expect(await reward('MRR@10')).toBeCloseTo(1 / 5 - 1 / 2, 6);
    // The cosines of saw have d1 first; those of (.5, 1.5) have it last.
    expect(await reward('MRR@10', { settings: { similarity: 'cosine' } })).toBeCloseTo(1 / 5 - 1, 6);
    // (.9, .3): d5 12.3, d2 3.9, d1 3.6.
    expect(await reward('MRR@10', { settings: { alpha: 0.1 } })).toBeCloseTo(1 / 3 - 1 / 2, 6);
  });

  it('drop the document that is the query itself, or keep it', async () => {
    // Without d5 the query finds d1 first, and with ship d2, d4, d3, d1.
    expect(await reward('MRR@10', { id: 'd5' })).toBeCloseTo(1 / 4 - 1, 6);
    expect(await reward('MRR@10', { id: 'd5', settings: { keepSelf: true } })).toBeCloseTo(1 / 5 - 1 / 2, 6);
  });

  it('search with BM25, or with the fusion of both', async () => {
    // saw, five times, has d1 before d2, whatever is added.
    expect(await reward('MRR@10', { more: { retriever: 'bm25' } })).toBe(0);
    // Once saw, d1 .75, and twice ship, d3 1.5 and d4 1.33: d1 is third.
    const once = { settings: { queryRepeats: 1 }, more: { retriever: 'bm25' } as const, text: 'ship ship' };
    expect(await reward('MRR@10', once)).toBeCloseTo(1 / 3 - 1, 6);
    // Of saw d1 is second and first. With ship it is fifth and first, behind d2, which is second and second.
    expect(await reward('MRR@10', { more: { retriever: 'rrf' } })).toBeCloseTo(1 / 2 - 1, 6);
  });

  it('refuse a search without a data set', async () => {
    await expect(openRewards(choice(['change-MRR@10'], { dataset: undefined }), open(), {})).rejects.toThrow(
      /change-MRR@10 searches a corpus with judgements/,
    );
  });

  it.each(['rank-gold=', 'rank-gold= ', 'rank-gold=much', 'rank-gold=Infinity'])('refuse %s', async (words) => {
    await expect(openRewards(choice([words]), open(), {})).rejects.toThrow(/is not a weight/);
  });

  it('refuse an unknown name', async () => {
    await expect(openRewards(choice(['rank']), open(), {})).rejects.toThrow(/there is no reward "rank"/);
  });
});

describe('a module that is checked', () => {
  const all = { isJudged: true, isAnswered: true, loadsCode: true };

  it('is not run unless that is asked for; the fingerprint is the same', async () => {
    const file = join(folder, 'loud.cjs');
    await writeFile(file, "globalThis.wasRun = 'loud';\nexports.needsAnswer = true;\nexports.score = () => [];\n");
    const [inspected] = await checkRewards([file], { ...all, isAnswered: false, loadsCode: false });
    expect(inspected).toMatchObject({ name: 'loud', kind: 'own', needsAnswer: undefined });
    expect(globalThis).not.toHaveProperty('wasRun');
    const [loaded] = await checkRewards([file], all);
    expect(loaded).toMatchObject({ needsAnswer: true, fingerprint: inspected!.fingerprint });
    expect(globalThis).toHaveProperty('wasRun');
    await expect(checkRewards([file], { ...all, isAnswered: false })).rejects.toThrow(
      /reads answers, but there are none/,
    );
  });
});
