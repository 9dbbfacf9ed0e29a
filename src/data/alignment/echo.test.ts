import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readJsonl } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import { ECHO_FILES, mergeEcho, tripleSchema } from './echo.ts';

let folder: string;
let output: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-echo-'));
  output = join(folder, 'out', 'merged.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

const row = (query: unknown, positive: unknown = 'p', negative: unknown = 'n') =>
  `${JSON.stringify({ query, positive, negative })}\n`;

/** Puts two rows into each file, with the published spelling of the MS MARCO passages. */
async function putAll(): Promise<void> {
  for (const spellings of ECHO_FILES) {
    await writeFile(join(folder, `${spellings.at(-1)}.jsonl`), row(`${spellings[0]} 1`) + row(`${spellings[0]} 2`));
  }
}

async function mergeFault(): Promise<DataError> {
  const error = await mergeEcho(folder, output).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DataError);
  expect(await readdir(folder)).not.toContain('merged.jsonl');
  return error as DataError;
}

describe('mergeEcho', () => {
  it('concatenates the eight files, with an id for each row', async () => {
    await putAll();
    await expect(readdir(folder)).resolves.toContain('msmaroc_passage.jsonl');
    const summary = await mergeEcho(folder, output);
    expect(summary.rows).toBe(16);
    expect(summary.blank).toBe(0);
    expect(Object.keys(summary.files)).toEqual(ECHO_FILES.map(([name]) => name));
    const ids = [];
    for await (const { value } of readJsonl(output, tripleSchema)) ids.push([value.id, value.query]);
    expect(ids).toEqual(ECHO_FILES.flatMap(([name]) => [1, 2].map((line) => [`${name}-${line}`, `${name} ${line}`])));
  });

  it('gives the same ids under both spellings of the MS MARCO passage file, gzip or not', async () => {
    await putAll();
    await mergeEcho(folder, output);
    const published = await readFile(output, 'utf8');
    await rm(join(folder, 'msmaroc_passage.jsonl'));
    const passages = gzipSync(row('msmarco_passage 1') + row('msmarco_passage 2'));
    await writeFile(join(folder, 'msmarco_passage.jsonl.gz'), passages);
    await mergeEcho(folder, output);
    expect(await readFile(output, 'utf8')).toBe(published);
  });

  it('takes the first of several passages, and the query after an instruction', async () => {
    await putAll();
    const rows = row(['Given a question, find the answer', 'who?'], ['p1', 'p2'], ['n1']) + row(['alone'], '', 'n');
    await writeFile(join(folder, 'nq.jsonl'), rows);
    expect((await mergeEcho(folder, output)).blank).toBe(1);
    const triples = [];
    for await (const { value } of readJsonl(output, tripleSchema)) if (value.id.startsWith('nq-')) triples.push(value);
    expect(triples).toEqual([
      { id: 'nq-1', query: 'who?', positive: 'p1', negative: 'n1' },
      { id: 'nq-2', query: 'alone', positive: '', negative: 'n' },
    ]);
  });

  it('names every file that is missing, with both spellings', async () => {
    await putAll();
    for (const name of ['fever', 'msmaroc_passage', 'squad']) await rm(join(folder, `${name}.jsonl`));
    const error = await mergeFault();
    expect(error.message).toContain(
      '3 of the 8 Echo files are missing: fever, msmarco_passage or msmaroc_passage, squad',
    );
    expect(error.file).toBe(folder);
  });

  it('refuses the same file twice, because its rows would count twice', async () => {
    await putAll();
    await writeFile(join(folder, 'msmarco_passage.jsonl'), row('q'));
    expect((await mergeFault()).message).toMatch(/twice, as .*msmarco_passage\.jsonl and .*msmaroc_passage\.jsonl/);
  });

  it.each([
    ['a row without a negative', `${row('a')}{"query":"b","positive":"p"}\n`, /hotpot_qa\.jsonl:2: negative: /],
    ['a list of three for the query', row(['a', 'b', 'c']), /hotpot_qa\.jsonl:1: query: expected a string, or \[instr/],
    ['an empty list of passages', row('a', []), /hotpot_qa\.jsonl:1: positive: /],
    ['an empty file', '', /hotpot_qa\.jsonl: the file holds no row/],
  ])('refuses %s and writes nothing', async (_, content, reason) => {
    await putAll();
    await writeFile(join(folder, 'hotpot_qa.jsonl'), content);
    expect((await mergeFault()).message).toMatch(reason);
    expect(await readdir(join(folder, 'out'))).toEqual([]);
  });
});
