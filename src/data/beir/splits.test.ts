import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AbortedError, DataError, UsageError } from '../../system/index.ts';
import { resolveSize, splitIds, splitRows } from './splits.ts';

let folder: string;
let file: string;
let chosen: string;
let rest: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-split-'));
  file = join(folder, 'rows.jsonl');
  chosen = join(folder, 'parts', 'dpo.jsonl');
  rest = join(folder, 'parts', 'retriever.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

async function putRows(count: number): Promise<string[]> {
  const rows = Array.from({ length: count }, (_, at) => `{"id": "row-${at}",  "query":"é ${at}"}`);
  await writeFile(file, `${rows.join('\n')}\n`);
  return rows;
}

async function linesOf(path: string): Promise<string[]> {
  return (await readFile(path, 'utf8')).split('\n').slice(0, -1);
}

const split = (size: number, seed = 42) => splitRows(file, { chosen, rest, size, seed });

describe('splitRows', () => {
  it('chooses exactly the requested number of rows, and keeps order and bytes of every row', async () => {
    const rows = await putRows(5000);
    expect(await split(1234)).toEqual({ chosen: 1234, rest: 3766 });
    const parts = [await linesOf(chosen), await linesOf(rest)];
    expect(parts.map((part) => part.length)).toEqual([1234, 3766]);
    const inFirst = new Set(parts[0]);
    expect(rows.filter((row) => inFirst.has(row))).toEqual(parts[0]);
    expect(rows.filter((row) => !inFirst.has(row))).toEqual(parts[1]);
  });

  it('depends only on the seed', async () => {
    await putRows(1000);
    await split(100, 7);
    const first = await readFile(chosen, 'utf8');
    await split(100, 7);
    expect(await readFile(chosen, 'utf8')).toBe(first);
    await split(100, 8);
    expect(await readFile(chosen, 'utf8')).not.toBe(first);
  });

  it('accepts a fraction, all rows, and gzip', async () => {
    await putRows(10);
    expect(await split(0.25)).toEqual({ chosen: 3, rest: 7 });
    expect(await split(10)).toEqual({ chosen: 10, rest: 0 });
    expect(await readFile(rest, 'utf8')).toBe('');
    await writeFile(file, gzipSync(await readFile(file)));
    expect(await split(1)).toEqual({ chosen: 1, rest: 9 });
  });

  it('gives rows without an id one made of file and line', async () => {
    await writeFile(file, '{"query":"a"}\n\n{"query":"b"}\n{"_id":"own","query":"c"}\n');
    await split(3);
    expect((await linesOf(chosen)).map((line) => JSON.parse(line))).toEqual([
      { query: 'a', id: 'rows-1' },
      { query: 'b', id: 'rows-3' },
      { _id: 'own', query: 'c' },
    ]);
  });

  it.each([
    ['more rows than there are', 11, UsageError, /cannot take 11 of 10 rows/],
    ['half a row', 2.5, UsageError, /cannot take 2.5/],
    ['a negative number', -1, UsageError, /cannot take -1/],
    ['not a number', Number.NaN, UsageError, /cannot take NaN/],
  ])('refuses %s', async (_, size, kind, reason) => {
    await putRows(10);
    const error = await split(size).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toMatch(reason);
    expect(await readdir(folder)).toEqual(['rows.jsonl']);
  });

  it.each([
    ['an id given twice', '{"id":"a"}\n{"id":"b"}\n{"id":"a"}\n', /rows\.jsonl:3, id "a"/],
    ['a row that is not an object', '{"id":"a"}\n[1]\n', /rows\.jsonl:2: /],
    ['an empty file', '\n', /holds no row/],
  ])('refuses %s and leaves no part behind', async (_, content, reason) => {
    await writeFile(file, content);
    const error = await split(1).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).message).toMatch(reason);
    expect(await readdir(join(folder, 'parts')).catch(() => [])).toEqual([]);
  });

  it('refuses to overwrite its input, or one part with the other', async () => {
    const rows = await putRows(10);
    await expect(splitRows(file, { chosen, rest: file, size: 1, seed: 1 })).rejects.toThrow(UsageError);
    await expect(splitRows(file, { chosen: rest, rest, size: 1, seed: 1 })).rejects.toThrow(UsageError);
    expect(await linesOf(file)).toEqual(rows);
  });

  it('stops when the signal fires, leaving the old parts', async () => {
    await putRows(10);
    await split(2);
    const before = await readFile(chosen, 'utf8');
    const options = { chosen, rest, size: 3, seed: 1, signal: AbortSignal.abort() };
    await expect(splitRows(file, options)).rejects.toThrow(AbortedError);
    expect(await readFile(chosen, 'utf8')).toBe(before);
    expect((await readdir(join(folder, 'parts'))).sort()).toEqual(['dpo.jsonl', 'retriever.jsonl']);
  });
});

describe('splitIds', () => {
  const ids = Array.from({ length: 20 }, (_, at) => `q${at}`);

  it('divides without loss and keeps the order', () => {
    const { train, dev } = splitIds(ids, 0.2, 3);
    expect(dev).toHaveLength(4);
    expect(ids.filter((id) => !dev.includes(id))).toEqual(train);
    expect(splitIds(new Set(ids), 4, 3)).toEqual({ train, dev });
  });

  it('chooses every id equally often', () => {
    const times = new Map(ids.map((id) => [id, 0]));
    const rounds = 4000;
    for (let seed = 0; seed < rounds; seed++) {
      for (const id of splitIds(ids, 5, seed).dev) times.set(id, times.get(id)! + 1);
    }
    const expected = (rounds * 5) / 20;
    const deviation = Math.sqrt(rounds * 0.25 * 0.75);
    for (const count of times.values()) expect(Math.abs(count - expected)).toBeLessThan(4.5 * deviation);
    expect([...times.values()].reduce((sum, count) => sum + count)).toBe(rounds * 5);
  });
});

describe('resolveSize', () => {
  it('accepts numbers and fractions', () => {
    expect([resolveSize(0, 10), resolveSize(0.5, 10), resolveSize(1, 10), resolveSize(10, 10)]).toEqual([0, 5, 1, 10]);
    expect(() => resolveSize(Number.POSITIVE_INFINITY, 10)).toThrow(UsageError);
  });
});
