import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { ECHO_FILES } from '../../data/index.ts';
import { runCommandLine } from '../run.ts';

let folder: string;
let printed: CapturedOutput;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-data-command-'));
  printed = captureOutput();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

/** Runs a command line; gives its exit code. */
async function run(...words: string[]): Promise<number> {
  printed.out = '';
  printed.err = '';
  return runCommandLine(words);
}

async function putDataset(qrels: string): Promise<void> {
  await mkdir(join(folder, 'qrels'), { recursive: true });
  await writeFile(join(folder, 'corpus.jsonl'), '{"_id":"d","text":"x"}\n');
  await writeFile(join(folder, 'queries.jsonl'), '{"_id":"q","text":"y"}\n');
  await writeFile(join(folder, 'qrels', 'test.tsv'), qrels);
}

describe('llm-qe data check', () => {
  it('prints the counts and exits with 0 if there is no error', async () => {
    await putDataset('q\td\t1\n');
    expect(await run('data', 'check', folder)).toBe(0);
    expect(printed.out).toContain('documents: 1, on average 1 words');
    expect(printed.out).toContain('test: 1 judgement (1 relevant) for 1 query');
    expect(printed.out).toContain('no problems found');
  });

  it('takes the folder as an argument or as --dataset, once', async () => {
    await putDataset('q\td\t1\n');
    expect(await run('data', 'check', '--dataset', folder)).toBe(0);
    expect(printed.out).toContain('no problems found');
    expect(await run('data', 'check')).toBe(2);
    expect(printed.err).toContain('no data set is given');
    expect(await run('data', 'check', folder, '--dataset', folder)).toBe(2);
    expect(printed.err).toContain('the data set is given twice');
  });

  it('exits with 1 if judgements name missing documents, and prints a fix', async () => {
    await putDataset('q\tgone\t1\n');
    expect(await run('data', 'check', folder)).toBe(1);
    expect(printed.out).toContain('error: relevant document that is missing from the corpus: 1');
    expect(printed.err).toContain('Fix the faults listed');
    expect(printed.err).not.toContain('    at ');
  });

  it('prints one JSON document and nothing else with --json, also when it fails', async () => {
    await putDataset('q\tgone\t1\n');
    expect(await run('data', 'check', folder, '--json')).toBe(1);
    const document = JSON.parse(printed.out);
    expect(document).toMatchObject({ ok: false, documents: { count: 1 }, splits: { test: { judgements: 1 } } });
    expect(document.problems[0]).toMatchObject({ level: 'error', count: 1 });
  });
});

describe('llm-qe data merge and split', () => {
  it('merge, then split for DPO and the retriever, then for train and dev', async () => {
    const row = '{"query":"a","positive":"p","negative":"n"}\n';
    for (const [name] of ECHO_FILES) await writeFile(join(folder, `${name}.jsonl`), row.repeat(10));
    const merged = join(folder, 'merged.jsonl');
    expect(await run('data', 'merge', folder, '--out', merged, '--json')).toBe(0);
    expect(JSON.parse(printed.out)).toMatchObject({ rows: 80, files: { fever: 10, msmarco_passage: 10 }, blank: 0 });
    expect(await run('data', 'split', merged, '--out', folder, '--size', '30', '--json')).toBe(0);
    const retriever = join(folder, 'retriever.jsonl');
    expect(JSON.parse(printed.out)).toEqual({
      seed: 42,
      files: [
        { file: join(folder, 'dpo.jsonl'), rows: 30 },
        { file: retriever, rows: 50 },
      ],
    });
    expect(await run('data', 'split', retriever, '--out', folder, '--dev', '0.1')).toBe(0);
    expect(printed.out).toBe(`5 rows in ${join(folder, 'dev.jsonl')}\n45 rows in ${join(folder, 'train.jsonl')}\n`);
    expect((await readFile(join(folder, 'dev.jsonl'), 'utf8')).split('\n')).toHaveLength(6);
  });

  it('exits with 1 for missing files and with 2 for an impossible size', async () => {
    expect(await run('data', 'merge', folder)).toBe(1);
    expect(printed.err).toContain('8 of the 8 Echo files are missing');
    await writeFile(join(folder, 'rows.jsonl'), '{"id":"a"}\n');
    expect(await run('data', 'split', join(folder, 'rows.jsonl'), '--out', folder)).toBe(2);
    expect(printed.err).toContain('cannot take 100000 of 1 row');
    expect(await run('data', 'split', join(folder, 'rows.jsonl'), '--size', 'many')).toBe(2);
    expect(printed.err).toContain('--size');
  });
});

describe('llm-qe data beir', () => {
  it('exits with 2 for an unknown data set, a malformed address and a malformed hash', async () => {
    expect(await run('data', 'beir', 'scifcat')).toBe(2);
    expect(printed.err).toContain('scifact');
    expect(await run('data', 'beir', 'scifact', '--base-url', 'ftp://example.org')).toBe(2);
    expect(printed.err).toContain('--base-url: expected an address');
    expect(await run('data', 'beir', 'scifact', '--md5', 'xyz')).toBe(2);
    expect(printed.err).toContain('--md5: expected 32 hexadecimal digits');
  });

  it('exits with 1 if the server lacks the file', async () => {
    const server = createServer((_, response) => response.writeHead(404).end());
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await run('data', 'beir', 'scifact', '--out', folder, '--base-url', address)).toBe(1);
    expect(printed.err).toMatch(/error: .*404/);
    expect(printed.out).toBe('');
    await new Promise((closed) => server.close(closed));
  });
});
