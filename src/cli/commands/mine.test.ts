import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { llmQe } from '../../../test/support/command-line.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mine-command-'));
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
  const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await mkdir(join(folder, 'qrels'));
  const texts = ['saw wood', 'saw saw saw', 'saw a ship', 'a ship', 'saw'];
  await writeFile(join(folder, 'corpus.jsonl'), lines(texts.map((text, at) => ({ _id: `d${at}`, text }))));
  await writeFile(join(folder, 'queries.jsonl'), lines([{ _id: 'q1', text: 'saw' }]));
  await writeFile(join(folder, 'qrels', 'train.tsv'), 'q1\td0\t1\n');
  // Another split judges another document.
  await writeFile(join(folder, 'qrels', 'test.tsv'), 'q1\td2\t1\n');
});
afterAll(() => {
  vi.unstubAllEnvs();
  return rm(folder, { recursive: true });
});

const run = (...words: string[]) => llmQe('mine', ...words);

test('mines by BM25 from a data set, heeds every split, and says what was dropped', async () => {
  const out = join(folder, 'mined.jsonl');
  const words = ['--dataset', folder, '--retriever', 'bm25', '--negatives', '3', '--out', out];
  const ended = await run(...words);
  expect(ended.log).toContain('1 row has fewer than 3 mined negatives, 0 of them none');
  expect(ended.code).toBe(0);
  expect(ended.out).toMatch(/judged relevant to the query +2\n.*equal to the query +1/s);
  const row = JSON.parse(await readFile(out, 'utf8'));
  expect(row).toMatchObject({ id: 'q1', positives: [{ id: 'd0' }], negatives: [{ id: 'd1', text: 'saw saw saw' }] });
  const manifest = JSON.parse(await readFile(join(folder, 'mined.manifest.json'), 'utf8'));
  expect(manifest.result).toMatchObject({ rows: 1, negatives: 1, dropped: { relevant: 2, query: 1 } });
  expect(JSON.parse((await run(...words, '--json')).out)).toMatchObject({ reused: 1, negatives: 1, documents: 5 });
});

test('names settings that do not go together', async () => {
  const { code, log } = await run(
    '--dataset',
    folder,
    '--retriever',
    'bm25',
    '--scores',
    '--out',
    join(folder, 'x.jsonl'),
  );
  expect({ code, log }).toEqual({ code: 2, log: expect.stringMatching(/--scores need an encoder/) });
});
