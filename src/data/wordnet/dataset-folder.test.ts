import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AbortedError, DataError, Random, ResourceError, UsageError } from '../../system/index.ts';
import { buildWordnetDataset } from './dataset.ts';

const SMALL = { corpus: 30, train: 4, dev: 3, test: 5 };

let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-wordnet-folder-'));
  out = join(folder, 'made');
  await writeFile(join(folder, 'data.noun'), inventDictionary());
  await writeFile(join(folder, 'index.adj'), '  1 Copyright\nbig a 1 0 1 1 00000001\n');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A dictionary of invented words: a root, 24 groups, and 6 nouns in each. */
function inventDictionary(): string {
  const random = new Random(3);
  const letters = (count: number) =>
    Array.from({ length: count }, () => String.fromCharCode(97 + random.below(26))).join('');
  const offset = (number: number) => String(number).padStart(8, '0');
  const gloss = (word: string) =>
    `a ${letters(6)} ${letters(6)} ${letters(6)}; "the ${word}, a ${word}"; "one ${word}, two ${word}s"`;
  const lines = ['  1 WordNet 0.1 Copyright  ', `${offset(1)} 03 n 01 root 0 000 | all there is`];
  for (let group = 0; group < 24; group++) {
    const parent = offset(100 + group * 10);
    lines.push(`${parent} 06 n 01 ${letters(7)} 0 001 @ ${offset(1)} n 0000 | ${gloss('thing')}`);
    for (let child = 1; child <= 6; child++) {
      const word = letters(7);
      const id = offset(100 + group * 10 + child);
      lines.push(`${id} 06 n 01 ${word} 0 001 @ ${parent} n 0000 | ${gloss(word)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const make = (options: object = {}, context = {}) =>
  buildWordnetDataset({ out, dict: folder, ...SMALL, ...options }, context);

it('leaves nothing behind except the data set', async () => {
  const manifest = await make();
  expect((await readdir(folder)).sort()).toEqual(['data.noun', 'index.adj', 'made']);
  expect((await readdir(out)).sort()).toEqual([
    'LICENSE',
    'corpus.jsonl',
    'manifest.json',
    'qrels',
    'queries.jsonl',
    'triples.jsonl',
  ]);
  expect(JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))).toEqual(manifest);
});

it('accepts an existing empty folder', async () => {
  await mkdir(out);
  await make();
  expect((await readdir(out)).length).toBe(6);
});

it('reuses a data set with the same settings without changing it', async () => {
  const manifest = await make();
  const before = await stat(join(out, 'corpus.jsonl'));
  expect(await make()).toEqual(manifest);
  const after = await stat(join(out, 'corpus.jsonl'));
  expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
});

it('refuses a data set with other settings and names the differences', async () => {
  await make();
  const refused = make({ seed: 14, test: 4 });
  await expect(refused).rejects.toThrow(UsageError);
  await expect(refused).rejects.toThrow(/seed 13, not 14/);
  await expect(refused).rejects.toThrow(/test 5, not 4/);
  expect(JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8')).settings.seed).toBe(13);
});

it('replaces it completely with force', async () => {
  const before = await make();
  await writeFile(
    join(out, 'manifest.json'),
    JSON.stringify({ ...before, files: { ...before.files, 'stale.txt': '' } }),
  );
  await writeFile(join(out, 'stale.txt'), 'of a version before');
  const manifest = await make({ seed: 14, force: true });
  expect(manifest.settings.seed).toBe(14);
  expect(await readdir(out)).not.toContain('stale.txt');
  expect((await readdir(folder)).sort()).toEqual(['data.noun', 'index.adj', 'made']);
});

it.each(['notes.txt', 'queries_q2d.jsonl', 'qrels/own.tsv', 'runs/first/manifest.json'])(
  'does not replace a folder to which %s was added, even with force',
  async (name) => {
    await make();
    await mkdir(dirname(join(out, name)), { recursive: true });
    await writeFile(join(out, name), 'years of work');
    await expect(make({ seed: 14, force: true })).rejects.toThrow(`${name}: does not belong to the data set`);
    expect(await readFile(join(out, name), 'utf8')).toBe('years of work');
  },
);

it('never replaces a folder that holds something other', async () => {
  await mkdir(out);
  await writeFile(join(out, 'thesis.txt'), 'years of work');
  await expect(make({ force: true })).rejects.toThrow(/holds something other/);
  await writeFile(join(out, 'manifest.json'), '{"kind":"other"}');
  await expect(make({ force: true })).rejects.toThrow(/holds something other/);
  expect(await readFile(join(out, 'thesis.txt'), 'utf8')).toBe('years of work');
});

it('refuses a data set of another version, and replaces it with force', async () => {
  const manifest = await make();
  await writeFile(join(out, 'manifest.json'), JSON.stringify({ ...manifest, version: 0 }));
  await expect(make()).rejects.toThrow(/another version/);
  expect(await make({ force: true })).toEqual(manifest);
});

it('finds a file that was changed or removed', async () => {
  await make();
  await writeFile(join(out, 'corpus.jsonl'), '');
  await expect(make()).rejects.toThrow(DataError);
  await rm(join(out, 'corpus.jsonl'));
  await expect(make()).rejects.toThrow(/changed or removed/);
  await make({ force: true });
  await expect(make()).resolves.toBeDefined();
});

it('reports how many are available if a size is too large', async () => {
  await expect(make({ test: 5000 })).rejects.toThrow(/found 4 of 4 train, 3 of 3 dev, \d+ of 5000 test/);
  await expect(make({ corpus: 190 })).rejects.toThrow(/more than WordNet's 169 distinct noun glosses/);
  await expect(make({ corpus: 5 })).rejects.toThrow(/cannot hold the 16 that the queries need/);
  for (const options of [{ test: 5000 }, { corpus: 190 }, { corpus: 5 }]) {
    await expect(make(options)).rejects.toThrow(UsageError);
  }
  expect(await readdir(folder)).toEqual(['data.noun', 'index.adj']);
});

it('writes no judgements for a split of no queries', async () => {
  const manifest = await make({ train: 0, dev: 0 });
  expect(await readdir(join(out, 'qrels'))).toEqual(['test.tsv']);
  expect(manifest.triples).toBe(0);
});

it('refuses options that make no sense', async () => {
  for (const options of [{ test: -1 }, { seed: 1.5 }, { corpus: 'many' }, { out: '' }]) {
    await expect(make(options)).rejects.toThrow(UsageError);
  }
});

it('refuses a file in place of the folder, and a missing or broken dictionary', async () => {
  await writeFile(out, 'a file');
  await expect(make()).rejects.toThrow(ResourceError);
  await rm(out);
  await expect(make({ dict: join(folder, 'absent') })).rejects.toThrow(DataError);
  await writeFile(join(folder, 'data.noun'), '00000001 06 n 01 tool\n');
  await expect(make()).rejects.toThrow(/data\.noun:1: no bar before the gloss/);
});

it('refuses circular hypernyms', async () => {
  const line = (id: number, parent: number) =>
    `0000000${id} 06 n 01 tool 0 001 @ 0000000${parent} n 0000 | gloss ${id}`;
  await writeFile(join(folder, 'data.noun'), [line(1, 2), line(2, 1)].join('\n'));
  await expect(make()).rejects.toThrow(/are circular/);
});

it('stops on request and leaves nothing behind', async () => {
  await expect(make({}, { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
  expect(await readdir(folder)).toEqual(['data.noun', 'index.adj']);
});
