import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** The built program, as a user starts it; `npm test` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'data-retriever-command-'));
  const rows = Array.from({ length: 10 }, (_, at) => ({
    query: `ask ${at}`,
    pseudo_doc: `Here is a passage: pseudo ${at}`,
    pos: [at === 3 ? ' ' : `yes ${at}`],
    neg: ['no'],
  }));
  await writeFile(join(folder, 'expandr.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

function run(...words: string[]) {
  return spawnSync(process.execPath, [MAIN, 'data', 'retriever', ...words], { encoding: 'utf8' });
}

test('writes published rows in two files, and reports what is left out', async () => {
  const { status, stdout, stderr } = run('--rows', join(folder, 'expandr.jsonl'), '--keep-expansions', '--json');
  expect([stderr.includes('left out: 1 row without a positive that has text'), status]).toEqual([true, 0]);
  const document = JSON.parse(stdout);
  expect(document).toMatchObject({ rows: { train: 8, dev: 1 }, expansions: 9, source: { leftOut: { noPositive: 1 } } });
  const [first] = (await readFile(document.file, 'utf8')).split('\n');
  expect(JSON.parse(first!)).toMatchObject({ expansions: [expect.stringMatching(/^pseudo \d$/)] });
});

test('names options that exclude each other', () => {
  const { status, stderr } = run('--rows', 'x.jsonl', '--keep-expansions', '--expansions', 'y.jsonl');
  expect([status, /exclude each other/.test(stderr)]).toEqual([2, true]);
});
