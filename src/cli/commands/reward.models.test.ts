import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { candidatesOf } from '../../../test/support/candidate-sets.ts';
import {
  BeirDataset,
  buildWordnetDataset,
  documentText,
  type RewardRecord,
  readTrainingQueries,
  type TrainingQuery,
} from '../../data/index.ts';
import { loadTopics, runArm } from '../../evaluate/index.ts';
import { CorpusSearch, defaultRetrievalSettings } from '../../retrieve/index.ts';
import type { RewardAudit } from '../../reward/index.ts';

const run = promisify(execFile);
/** The built program; `npm run test:models` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const NONSENSE = 'Ordinary words on nothing in particular, at some length.';

let folder: string;
let dataset: BeirDataset;
let queries: TrainingQuery[];

/** No LLM is needed: the candidates are the gold document, that of another query, both together, nonsense, and a repetition. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reward-models-'));
  await buildWordnetDataset({ out: folder, corpus: 1500, train: 24, dev: 5, test: 5 });
  dataset = await BeirDataset.open(folder);
  queries = await readTrainingQueries(dataset, 'train');
  const texts = new Map<string, string>();
  for await (const document of dataset.documents()) texts.set(document.id, documentText(document));
  const rows = queries.map(({ id, documents }, at) => {
    const own = texts.get(documents[0]!)!;
    const other = texts.get(queries[(at + 1) % queries.length]!.documents[0]!)!;
    const answer = { queryId: id, documentId: documents[0]!, text: `It is ${own}.`, attempts: 1 };
    return { candidates: candidatesOf(id, [other, own, `${own}; ${other}`, NONSENSE, other]), answer };
  });
  await write(
    'candidates.jsonl',
    rows.flatMap(({ candidates }) => candidates),
  );
  await write(
    'answers.jsonl',
    rows.map(({ answer }) => answer),
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, rows: readonly object[]): Promise<void> {
  await writeFile(join(folder, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

async function rewardsIn(name: string): Promise<Map<string, RewardRecord>> {
  const lines = (await readFile(join(folder, name), 'utf8')).trimEnd().split('\n');
  const records = lines.map((line) => JSON.parse(line) as RewardRecord);
  return new Map(records.map((record) => [record.candidateId, record]));
}

const words = (out: string, ...more: string[]) => [
  MAIN,
  'reward',
  '--dataset',
  folder,
  '--out',
  join(folder, out),
  '--json',
  ...more,
];

describe('llm-qe reward with the default encoder', () => {
  it('ranks the gold document first, and gives duplicates equal rewards', async () => {
    await run(process.execPath, words('rewards.jsonl'));
    const rewards = await rewardsIn('rewards.jsonl');
    expect(rewards.size).toBe(queries.length * 5);
    for (const { id } of queries) {
      const [other, own, both, nonsense, again] = [0, 1, 2, 3, 4].map((index) => rewards.get(`${id}#${index}`)!);
      expect(own).toMatchObject({ ranks: { gold: 1, answer: 1 }, total: 2 });
      expect(own!.similarity.gold).toBeGreaterThan(0.999);
      expect(both!.ranks.gold).toBe(2);
      expect(nonsense!.total).toBeLessThan(1);
      expect({ ...again, candidateId: '' }).toEqual({ ...other, candidateId: '' });
    }
  });

  it('builds pairs from them, and finds the leak', async () => {
    await run(process.execPath, [MAIN, 'pairs', '--dataset', folder, '--task', 'q2d', '--dev', '0']);
    const audit = JSON.parse(await readFile(join(folder, 'audit.json'), 'utf8')) as RewardAudit;
    expect(audit.pairs.train).toBe(queries.length);
    expect(audit.candidates.duplicates).toBeCloseTo(0.2, 12);
    // Every chosen side is the gold document itself; glosses of fewer than four words cannot be told from chance.
    expect(audit.sides.chosenQuotes).toBeGreaterThan(0.6);
    expect(audit.sides.rejectedQuotes).toBe(0);
    expect(audit.answers.count).toBe(queries.length);
    expect(audit.agreement!.mean).toBeGreaterThan(0.5);
  });

  it('rewards the change of nDCG@10 that the evaluation finds', async () => {
    await run(process.execPath, words('search.jsonl', '--reward', 'change-nDCG@10', '--reward', 'change-MRR@10=0'));
    const rewards = await rewardsIn('search.jsonl');
    const settings = defaultRetrievalSettings();
    const search = new CorpusSearch(dataset, settings);
    const topics = await loadTopics(dataset, 'train');
    const retriever = await search.retriever('dense');
    const nDCG = async (index: number | undefined) => {
      const text = new Map<string, string>();
      for (const line of (await readFile(join(folder, 'candidates.jsonl'), 'utf8')).trimEnd().split('\n')) {
        const candidate = JSON.parse(line) as { queryId: string; index: number; text: string };
        if (candidate.index === index) text.set(candidate.queryId, candidate.text);
      }
      const expanded = topics.queries.map(({ id, text: query }) => ({
        id,
        text: query,
        expansions: text.has(id) ? [text.get(id)!] : [],
      }));
      const plan = { name: '', description: '', retriever, topics: { ...topics, queries: expanded } };
      const { scores } = await runArm(plan, { depth: settings.depth, dropSelf: true });
      return (id: string) => scores.perQuery.get(id)!['nDCG@10']!;
    };
    try {
      const raw = await nDCG(undefined);
      for (const index of [0, 1, 3]) {
        const scored = await nDCG(index);
        for (const { id } of queries) {
          expect(rewards.get(`${id}#${index}`)!.rewards['change-nDCG@10']).toBeCloseTo(scored(id) - raw(id), 5);
        }
      }
    } finally {
      await search.close();
    }
  });

  it('searches with BM25 too', async () => {
    await run(process.execPath, words('bm25.jsonl', '--retriever', 'bm25', '--reward', 'change-MRR@10'));
    const rewards = await rewardsIn('bm25.jsonl');
    const gains = queries.map(({ id }) => rewards.get(`${id}#1`)!.total);
    expect(Math.min(...gains)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...gains)).toBeGreaterThan(0.5);
  });

  it.each<[words: string[], code: number, says: RegExp]>([
    [['--reward', 'rank-gld'], 2, /there is no reward "rank-gld"/],
    [['--reward', 'rank-gold=much'], 2, /"much" is not a weight/],
    [['--reward', 'rank-gold', '--reward', 'rank-gold=2'], 2, /reward rank-gold is given twice/],
    [['--reward', 'change-num_ret'], 2, /cannot be used to compare searches/],
    [['--answers', 'none.jsonl'], 1, /none\.jsonl: no such file/],
  ])('refuses %j', async (more, code, says) => {
    const refused = run(process.execPath, words('refused.jsonl', ...more));
    await expect(refused).rejects.toMatchObject({ code, stderr: expect.stringMatching(says) });
  });

  it('resumes after kill -9, and gives the file of an uninterrupted run', async () => {
    const killed = spawn(process.execPath, words('killed.jsonl', '--batch', '1'), { stdio: 'ignore' });
    const journal = join(folder, 'killed.jsonl.journal');
    const lines = async () => (await readFile(journal, 'utf8').catch(() => '')).split('\n').length - 1;
    while ((await lines()) < 3) await sleep(5);
    killed.kill('SIGKILL');
    await once(killed, 'close');
    expect(await lines()).toBeLessThan(queries.length);
    const { stdout } = await run(process.execPath, words('killed.jsonl', '--batch', '1'));
    expect((JSON.parse(stdout) as { reused: number }).reused).toBeGreaterThanOrEqual(2);
    await run(process.execPath, words('whole.jsonl', '--batch', '1'));
    expect(await readFile(join(folder, 'killed.jsonl'), 'utf8')).toBe(
      await readFile(join(folder, 'whole.jsonl'), 'utf8'),
    );
  });
});
