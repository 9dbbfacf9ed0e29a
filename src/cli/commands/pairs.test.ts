import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { candidatesOf } from '../../../test/support/candidate-sets.ts';
import { llmQe } from '../../../test/support/command-line.ts';
import { readPairs } from '../../data/index.ts';
import { PROMPTS } from '../../generate/index.ts';

const IDS = ['q0', 'q1', 'q2', 'q3'];
const TEXTS = ['a saw', 'a long text of many words', 'a tool'];

let folder: string;

const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pairs-command-'));
  await mkdir(join(folder, 'qrels'));
  await writeFile(
    join(folder, 'corpus.jsonl'),
    lines(IDS.map((id) => ({ _id: `d-${id}`, title: '', text: `about ${id}` }))),
  );
  await writeFile(join(folder, 'queries.jsonl'), lines(IDS.map((id) => ({ _id: id, text: `what is ${id}?` }))));
  const judged = IDS.map((id) => `${id}\td-${id}\t1\n`).join('');
  await writeFile(join(folder, 'qrels', 'train.tsv'), `query-id\tcorpus-id\tscore\n${judged}`);
  const candidates = IDS.flatMap((id) => candidatesOf(id, TEXTS));
  await writeFile(join(folder, 'candidates.jsonl'), lines(candidates));
  await writeFile(join(folder, 'rewards.jsonl'), lines(candidates.map(rewardOf)));
  await writeManifest(PROMPTS.q2d);
});
afterEach(() => rm(folder, { recursive: true }));

/** What `llm-qe candidates` says beside its file. */
function writeManifest({ name, text }: { name: string; text: string }): Promise<void> {
  const settings = { prompt: { name, text }, samples: TEXTS.length, temperatures: [1] };
  const result = { queries: IDS.length };
  const manifest = { stage: 'candidates', version: '1', key: 'k', settings, about: {}, result };
  return writeFile(join(folder, 'candidates.manifest.json'), JSON.stringify(manifest));
}

function rewardOf({ queryId, candidateId, index }: { queryId: string; candidateId: string; index: number }) {
  const total = [1, 2, 0.5][index]!;
  return {
    queryId,
    candidateId,
    rewards: { 'rank-gold': total },
    similarity: { gold: queryId === 'q3' ? 0.2 : 0.7 },
    ranks: { gold: index + 1 },
    total,
  };
}

const run = (...words: string[]) => llmQe('pairs', '--dataset', folder, ...words);

describe('llm-qe pairs', () => {
  it('writes pairs, the audit and its page, and reports what was dropped', async () => {
    const { code, out } = await run('--dev', '1', '--report', join(folder, 'audit.html'));
    expect(code).toBe(0);
    expect(out).toContain('2 pairs for training, 1 for development, from 3 of 4 queries');
    expect(out).toMatch(/similarity below the threshold\s+1/);
    const { pairs } = await readPairs(join(folder, 'pairs.jsonl'));
    expect(pairs.map((pair) => [pair.chosenId, pair.rejectedId])).toEqual(
      pairs.map(({ queryId }) => [`${queryId}#1`, `${queryId}#2`]),
    );
    expect(pairs[0]!.prompt[0]!.content).toMatch(
      /^Please write a passage to answer the question\.\nQuestion: what is q/,
    );
    expect((await readPairs(join(folder, 'pairs-dev.jsonl'))).pairs).toHaveLength(1);
    expect(await readFile(join(folder, 'audit.html'), 'utf8')).toContain('Queries kept and dropped');
    expect(JSON.parse(await readFile(join(folder, 'audit.json'), 'utf8'))).toMatchObject({
      queries: { all: 4, kept: 3 },
    });
  });

  it('prints one JSON document, and follows the policy', async () => {
    const { out } = await run(
      '--json',
      '--dev',
      '0',
      '--min-similarity',
      '-2',
      '--max-length-ratio',
      '1.5',
      '--pairs',
      '3',
    );
    const document = JSON.parse(out) as { pairs: object; files: { pairs: string } };
    expect(document.pairs).toMatchObject({ built: 4, train: 3, dev: 0, left: 1 });
    const { pairs } = await readPairs(document.files.pairs);
    expect(pairs.map((pair) => pair.chosen[0]!.content)).toEqual(['a saw', 'a saw', 'a saw']);
  });

  it('takes the prompt that the candidates were made with, and refuses another', async () => {
    await writeManifest({ name: 'define', text: 'Define {query}' });
    expect((await run()).code).toBe(0);
    const { pairs } = await readPairs(join(folder, 'pairs.jsonl'));
    expect(pairs[0]!.prompt).toEqual([{ role: 'user', content: expect.stringMatching(/^Define what is q/) }]);
    const refused = await run('--task', 'q2d');
    expect(refused).toMatchObject({ code: 2, log: expect.stringContaining('made with prompt define, not with q2d') });
  });

  it('requires the prompt if no manifest records it', async () => {
    await rm(join(folder, 'candidates.manifest.json'));
    expect(await run()).toMatchObject({ code: 2, log: expect.stringContaining('Pass the prompt: --task q2d') });
    expect((await run('--task', 'q2q')).code).toBe(0);
  });

  it.each([
    ['an output that is an input', ['--out', 'rewards.jsonl'], 2, /--out would overwrite --rewards/],
    ['an output that is the corpus', ['--out', 'corpus.jsonl'], 2, /--out would overwrite the data set's corpus.jsonl/],
    ['rewards that are not there', ['--rewards', 'none.jsonl'], 1, /none\.jsonl: no such file/],
    ['too many for development', ['--dev', '9'], 2, /cannot take 9 of 3/],
  ])('refuses %s', async (_what, words, code, says) => {
    const placed = words.map((word) => (word.endsWith('.jsonl') ? join(folder, word) : word));
    const result = await run(...placed);
    expect(result.code).toBe(code);
    expect(result.log).toMatch(says);
    expect(result.log).not.toMatch(/ at .*\.js:/);
  });
});
