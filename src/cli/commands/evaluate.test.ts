import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { runCommandLine } from '../run.ts';

let folder: string;
let printed: CapturedOutput;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-evaluate-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  printed = captureOutput();
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function put(qrels: string, ...queries: string[]): Promise<string> {
  const set = join(folder, 'set');
  await mkdir(join(set, 'qrels'), { recursive: true });
  const document = (_id: string, text: string) => `${JSON.stringify({ _id, text })}\n`;
  await writeFile(join(set, 'corpus.jsonl'), document('1', 'saw wood') + document('2', 'saw') + document('3', 'sea'));
  await writeFile(join(set, 'queries.jsonl'), queries.map((_id) => document(_id, 'saw')).join(''));
  await writeFile(join(set, 'qrels', 'test.tsv'), qrels);
  return set;
}

const evaluate = (set: string, ...more: string[]) =>
  runCommandLine(['evaluate', '--dataset', set, '--retriever', 'bm25', ...more]);

describe('a collection numbered from 1', () => {
  it.each([
    // BM25 ranks 2 (shorter) above 1. Query 1 finds its own document second, query 2 first.
    { qrels: '1\t1\t1\n', queries: ['1'], mrr: 1 / 2, kept: 1 },
    { qrels: '2\t2\t1\n', queries: ['2'], mrr: 1, kept: 1 },
    // Not judged relevant to itself: left out, so that 1 comes first.
    { qrels: '2\t1\t1\n', queries: ['2'], mrr: 1, kept: 0 },
    { qrels: '2\t2\t0\n2\t1\t1\n', queries: ['2'], mrr: 1, kept: 0 },
    { qrels: '1\t1\t1\n2\t1\t2\n', queries: ['1', '2'], mrr: 3 / 4, kept: 1 },
  ])('keeps what is judged relevant ($qrels)', async ({ qrels, queries, mrr, kept }) => {
    const set = await put(qrels, ...queries);
    expect(await evaluate(set, '--json')).toBe(0);
    const found = JSON.parse(printed.out);
    expect(found.measures['MRR@10']).toBe(mrr);
    expect(found.selfRetrieval).toEqual({ dropped: true, kept, queries: queries.length });
  });

  it('states it next to the score and in the report', async () => {
    const report = join(folder, 'report.html');
    expect(await evaluate(await put('1\t1\t1\n', '1'), '--report', report)).toBe(0);
    const rule =
      'a document with the id of the query is left out, but kept for 1 of 1 queries, which judge it relevant';
    expect(printed.out).toContain(rule);
    expect(await readFile(report, 'utf8')).toContain(rule);
  });
});

/** A device that is writable by its permissions, and full; only Linux has it. */
const FULL_DISK = '/dev/full';

describe.skipIf(!existsSync(FULL_DISK))('an output that fails', () => {
  it('does not prevent the table and the report', async () => {
    const set = await put('1\t1\t1\n', '1');
    const report = join(folder, 'report.html');
    expect(await evaluate(set, '--run-out', FULL_DISK, '--report', report)).toBe(1);
    expect(printed.out).toMatch(/raw +\d\.\d{4}/);
    expect((await readFile(report, 'utf8')).length).toBeGreaterThan(0);
    expect(printed.err).toMatch(/error: .*\/dev\/full/);
  });

  it('leaves one JSON document on stdout', async () => {
    const set = await put('1\t1\t1\n', '1');
    expect(await evaluate(set, '--json', '--run-out', FULL_DISK)).toBe(1);
    expect(JSON.parse(printed.out).measures['MRR@10']).toBe(0.5);
  });
});
