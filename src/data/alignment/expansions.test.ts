import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError } from '../../system/index.ts';
import type { Expansion } from '../beir/records.ts';
import { readExpansions } from './expansions.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-expansions-'));
  file = join(folder, 'expansions.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

function expansion(query: string, sample: number, more: Partial<Expansion> = {}): Expansion {
  const cost = { promptTokens: 10, completionTokens: 5, milliseconds: 1.5 };
  return { query, sample, text: `${query}/${sample}`, finish: 'stop', ...cost, key: 'k', ...more };
}

async function readBack(...rows: unknown[]): Promise<Map<string, Expansion[]>> {
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return readExpansions(file);
}

describe('readExpansions', () => {
  it('groups by query and sorts by sample', async () => {
    const read = await readBack(expansion('b', 1), expansion('a', 0, { raw: 'r' }), expansion('b', 0));
    expect([...read]).toEqual([
      ['b', [expansion('b', 0), expansion('b', 1)]],
      ['a', [expansion('a', 0, { raw: 'r' })]],
    ]);
  });

  it('refuses a duplicate sample', async () => {
    const error = await readBack(expansion('a', 0), expansion('a', 0)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect(error).toMatchObject({ line: 2, id: 'a' });
  });

  it.each([
    ['a negative sample', { ...expansion('a', -1) }, /sample: /],
    ['an unknown finish', { ...expansion('a', 0), finish: 'tired' }, /finish: /],
    ['a missing text', { ...expansion('a', 0), text: undefined }, /text: /],
    ["a line of BEIR's queries", { _id: 'a', text: ['a', 'e'] }, /query: /],
  ])('refuses %s', async (_, row, reason) => {
    await expect(readBack(row)).rejects.toThrow(reason);
  });
});
