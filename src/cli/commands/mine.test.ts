import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** The built program, as a user starts it; `npm test` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mine-command-'));
  const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await mkdir(join(folder, 'qrels'));
  const texts = ['saw wood', 'saw saw saw', 'saw a ship', 'a ship', 'saw'];
  await writeFile(join(folder, 'corpus.jsonl'), lines(texts.map((text, at) => ({ _id: `d${at}`, text }))));
  await writeFile(join(folder, 'queries.jsonl'), lines([{ _id: 'q1', text: 'saw' }]));
  await writeFile(join(folder, 'qrels', 'train.tsv'), 'q1\td0\t1\n');
  // Another split judges another document.
  await writeFile(join(folder, 'qrels', 'test.tsv'), 'q1\td2\t1\n');
});
afterAll(() => rm(folder, { recursive: true }));

function run(...words: string[]) {
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') };
  return spawnSync(process.execPath, [MAIN, 'mine', ...words], { encoding: 'utf8', env });
}

test('mines by BM25 from a data set, heeds every split, and says what was dropped', async () => {
  const out = join(folder, 'mined.jsonl');
  const words = ['--dataset', folder, '--retriever', 'bm25', '--negatives', '3', '--out', out];
  const { status, stdout, stderr } = run(...words);
  expect([status, stderr.includes('1 rows have fewer than 3 mined negatives, 0 of them none')]).toEqual([0, true]);
  expect(stdout).toMatch(/judged relevant to the query +2\n.*equal to the query +1/s);
  const row = JSON.parse(await readFile(out, 'utf8'));
  expect(row).toMatchObject({ id: 'q1', positives: [{ id: 'd0' }], negatives: [{ id: 'd1', text: 'saw saw saw' }] });
  const manifest = JSON.parse(await readFile(join(folder, 'mined.manifest.json'), 'utf8'));
  expect(manifest.result).toMatchObject({ rows: 1, negatives: 1, dropped: { relevant: 2, query: 1 } });
  expect(JSON.parse(run(...words, '--json').stdout)).toMatchObject({ reused: 1, negatives: 1, documents: 5 });
});

test('names settings that do not go together', () => {
  const { status, stderr } = run(
    '--dataset',
    folder,
    '--retriever',
    'bm25',
    '--scores',
    '--out',
    join(folder, 'x.jsonl'),
  );
  expect([status, /--scores need an encoder/.test(stderr)]).toEqual([2, true]);
});
