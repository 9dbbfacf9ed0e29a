import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { llmQe } from './support/command-line.ts';
import { writeTinyDataset } from './support/tiny-dataset.ts';

/** Twelve sets; the second one is missing in the suite `faulty`. */
const SETS = Array.from({ length: 12 }, (_none, at) => `set${at + 1}`);
const before = process.env.LLM_QE_HOME;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-suites-'));
  process.env.LLM_QE_HOME = join(folder, 'home');
  for (const name of SETS) writeTinyDataset(join(folder, name));
  const lines = (names: string[]) => names.map((name) => `  ${name}: {dir: ${name}}\n`).join('');
  writeFileSync(join(folder, 'all.yaml'), `sets:\n${lines(SETS)}`);
  writeFileSync(join(folder, 'faulty.yaml'), `sets:\n${lines(['set1', 'none', 'set2'])}`);
});
afterAll(async () => {
  if (before === undefined) delete process.env.LLM_QE_HOME;
  else process.env.LLM_QE_HOME = before;
  await rm(folder, { recursive: true });
});

describe('benchmark', () => {
  it('ends its JSON with sets, mean, tests, parity and report, also if a set fails', async () => {
    const words = ['--system', 'raw=bm25', '--system', 'k=bm25,k1=2', '--out', join(folder, 'faulty')];
    const { code, out, log } = await llmQe('benchmark', join(folder, 'faulty.yaml'), ...words, '--json');
    expect(code).toBe(1);
    expect(log).toContain('none: ');
    const found = JSON.parse(out);
    expect(Object.keys(found)).toEqual(['sets', 'mean', 'tests', 'parity', 'report']);
    expect(Object.keys(found.sets)).toEqual(['set1', 'none', 'set2']);
    expect(found.sets.set1.k['nDCG@10']).toBe(1);
    expect(found.sets.none).toEqual({});
    expect(found.mean.raw['nDCG@10']).toBe(1);
    expect(found.tests.sets).toHaveLength(2);
    expect((await stat(found.report)).isFile()).toBe(true);
    for (const name of ['table.md', 'table.tex', 'table.csv']) {
      expect(await readFile(join(folder, 'faulty', name), 'utf8')).toContain('set1');
    }
  });

  it('divides the sets among machines that share a folder; the whole command finds their results', async () => {
    const out = join(folder, 'shared');
    const words = ['benchmark', join(folder, 'all.yaml'), '--out', out, '--system', 'raw=bm25', '--json'];
    const shards = [];
    for (const shard of ['1/5', '2/5', '3/5', '4/5', '5/5']) shards.push(await llmQe(...words, '--shard', shard));
    const names = shards.map((one) => JSON.parse(one.out).sets as string[]);
    expect(names.map(({ length }) => length).sort()).toEqual([2, 2, 2, 3, 3]);
    expect(names.flat().sort()).toEqual([...SETS].sort());
    const searched = await times(out);
    const { code, log } = await llmQe(...words);
    expect({ code, log }).toEqual({ code: 0, log: expect.stringContaining('12 from before') });
    expect(await times(out)).toEqual(searched);
    expect(await llmQe(...words, '--shard', '6/5')).toMatchObject({ code: 2 });
  });

  it('killed in the ninth set, goes on there and repeats nothing', async () => {
    const out = join(folder, 'killed');
    const words = ['benchmark', join(folder, 'all.yaml'), '--out', out, '--system', 'raw=bm25'];
    const child = spawn(process.execPath, ['dist/cli/main.js', ...words], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    await folderAppears(join(out, 'sets', 'set9'));
    child.kill('SIGKILL');
    await ended;
    const finished = await times(out);
    const { code } = await llmQe(...words);
    expect(code).toBe(0);
    const now = await times(out);
    expect(now.size).toBe(SETS.length);
    expect(finished.size).toBeGreaterThanOrEqual(8);
    for (const [set, time] of finished) expect([set, now.get(set)]).toEqual([set, time]);
    expect(await readFile(join(out, 'table.md'), 'utf8')).toContain('mean of 12');
  });
});

/** Waits for a folder that another process makes. */
async function folderAppears(path: string): Promise<void> {
  while (!(await stat(path).catch(() => undefined))) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** When the finished runs were written, by set. */
async function times(out: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const set of await readdir(join(out, 'sets'))) {
    for (const stage of await readdir(join(out, 'sets', set))) {
      const record = JSON.parse(await readFile(join(out, 'sets', set, stage, 'stage.json'), 'utf8').catch(() => '{}'));
      if (record.finished) found.set(set, (await stat(join(out, 'sets', set, stage, 'run.trec'))).mtimeMs);
    }
  }
  return found;
}

describe('benchmark --plan', () => {
  it('counts what is here and what is known, and runs nothing', async () => {
    const words = ['--data', join(folder, 'data'), '--out', join(folder, 'planned'), '--plan', '--json'];
    const own = JSON.parse((await llmQe('benchmark', join(folder, 'all.yaml'), '--sets', 'set1', ...words)).out);
    // One text of at most 512 tokens for each of two queries.
    expect(own.sets[0]).toMatchObject({
      state: 'here',
      documents: 8,
      queries: 2,
      texts: 2,
      tokens: 1024,
      downloadBytes: 0,
    });
    const beir = JSON.parse((await llmQe('benchmark', 'beir15', ...words)).out);
    expect(beir.total).toMatchObject({ documents: 33_403_296 + 457_199, queries: 40_214 + 13_145 });
    const known = beir.sets.filter((one: { downloadBytes: number }) => one.downloadBytes > 0);
    expect(known).toHaveLength(15);
    expect(beir.unknown).toEqual([]);
    const nano = JSON.parse((await llmQe('benchmark', 'nanobeir', ...words)).out);
    // The hub states no sizes.
    expect(nano.total).toMatchObject({ downloadBytes: null, diskBytes: null });
    expect(await stat(join(folder, 'planned')).catch(() => 'nothing')).toBe('nothing');
  });
});

it.each(['benchmark', 'parity'])('%s refuses an --out that is a file before it searches', async (command) => {
  const out = join(folder, 'all.yaml');
  const { code, log } = await llmQe(command, out, '--out', out, '--system', 'raw=bm25');
  expect([code, log]).toEqual([2, expect.stringContaining(`${out}: --out is a file, not a folder`)]);
  expect(log).not.toContain('searching');
});

describe('parity', () => {
  it('audits every set, and says that no score is published', async () => {
    const words = ['parity', join(folder, 'all.yaml'), '--sets', 'set1,set2', '--out', join(folder, 'parity')];
    const { code, out } = await llmQe(...words, '--system', 'raw=bm25', '--json');
    expect(code).toBe(0);
    const found = JSON.parse(out);
    expect(Object.keys(found)).toEqual(['parity', 'audit', 'report']);
    expect(found.parity).toEqual({});
    expect(found.audit.set1).toMatchObject({ documents: 8, duplicateDocuments: 0, errors: [] });
    expect(found.audit.set1.splits.test).toEqual({ queries: 2, relevant: 2, withoutRelevant: 0 });
  });

  it('refuses a sample, whose score is another', async () => {
    const { code, log } = await llmQe('parity', join(folder, 'all.yaml'), '--out', join(folder, 'p'), '--limit', '3');
    expect([code, log]).toEqual([2, expect.stringContaining('--limit gives another score')]);
  });
});
