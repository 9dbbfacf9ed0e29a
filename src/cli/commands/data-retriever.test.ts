import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { llmQe } from '../../../test/support/command-line.ts';

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

const run = (...words: string[]) => llmQe('data', 'retriever', ...words);

test('writes published rows in two files, and reports what is left out', async () => {
  const { code, out, log } = await run('--rows', join(folder, 'expandr.jsonl'), '--keep-expansions', '--json');
  expect(log).toContain('left out: 1 row without a positive that has text');
  expect(code).toBe(0);
  const document = JSON.parse(out);
  expect(document).toMatchObject({ rows: { train: 8, dev: 1 }, expansions: 9, source: { leftOut: { noPositive: 1 } } });
  const [first] = (await readFile(document.file, 'utf8')).split('\n');
  expect(JSON.parse(first!)).toMatchObject({ expansions: [expect.stringMatching(/^pseudo \d$/)] });
});

test('a file of development rows that stays empty is told', async () => {
  const [file, out] = [join(folder, 'one.jsonl'), join(folder, 'one')];
  await writeFile(file, JSON.stringify({ query: 'ask', pseudo_doc: 'pseudo', pos: ['yes'], neg: ['no'] }));
  const { code, log } = await run('--rows', file, '--keep-expansions', '--out', out);
  expect({ code, log }).toEqual({
    code: 0,
    log: expect.stringMatching(/retriever-dev\.jsonl is empty: all rows are of one query/),
  });
});

test('names options that exclude each other', async () => {
  const { code, log } = await run('--rows', 'x.jsonl', '--keep-expansions', '--expansions', 'y.jsonl');
  expect({ code, log }).toEqual({ code: 2, log: expect.stringMatching(/exclude each other/) });
});
