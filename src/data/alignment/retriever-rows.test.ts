import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../system/index.ts';
import { type RetrieverRow, readRetrieverRows } from './retriever-rows.ts';

async function read(...rows: unknown[]): Promise<RetrieverRow[]> {
  const file = join(await mkdtemp(join(tmpdir(), 'rows-')), 'retriever.jsonl');
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const found: RetrieverRow[] = [];
  for await (const { row } of readRetrieverRows(file)) found.push(row);
  return found;
}

const own = {
  id: 'q1',
  query: 'who',
  expansions: ['he'],
  positives: [{ id: 'd1', text: 'yes' }],
  negatives: [{ text: 'no' }],
};

describe('rows to train a retriever on', () => {
  it('keeps its own rows as they are, scores too', async () => {
    const scored = { ...own, id: 'q2', scores: { positives: [2], negatives: [-1.5] } };
    expect(await read(own, scored)).toEqual([own, scored]);
  });

  it.each([
    ['LLM-QE', { query: 'he', pos: ['yes'], neg: ['no', 'never'] }, { query: '', expansions: ['he'] }],
    [
      'ExpandR',
      { query: 'who', pseudo_doc: 'he', pos: ['yes'], neg: ['no', 'never'] },
      { query: 'who', expansions: ['he'] },
    ],
  ])("reads %s's rows", async (_name, given, side) => {
    const [row] = await read(given);
    expect(row).toMatchObject({
      ...side,
      positives: [{ text: 'yes' }],
      negatives: [{ text: 'no' }, { text: 'never' }],
    });
  });

  it('reads triples, with and without an id or a negative', async () => {
    const [named, bare] = await read(
      { id: 't1', query: 'who', positive: 'yes', negative: 'no' },
      { query: 'who', positive: 'yes' },
    );
    expect(named).toMatchObject({ id: 't1', expansions: [], negatives: [{ text: 'no' }] });
    expect(bare).toMatchObject({ negatives: [], positives: [{ text: 'yes' }] });
  });

  it.each([[{ _id: '1', text: 'a query' }], [{ query: 'who', negatives: [] }]])(
    'says that %j is not a training row',
    async (row) => {
      await expect(read(row)).rejects.toThrow(/not a training row: .*positives \(or pos, or positive\) is missing/);
    },
  );

  it('names rows without an id by their content', async () => {
    const [a, b, c] = await read(
      { query: 'who', pos: ['yes'] },
      { query: 'who', pos: ['yes'] },
      { query: 'why', pos: ['yes'] },
    );
    expect(a!.id).toBe(b!.id);
    expect(c!.id).not.toBe(a!.id);
  });

  it.each([
    ['no document at all', { query: 'who' }, /positives/],
    ['a score too few', { ...own, scores: { positives: [], negatives: [1] } }, /0 scores for 1 documents/],
    ['a score that is not a number', { ...own, scores: { positives: [null], negatives: [1] } }, /scores\.positives\.0/],
    ['a number for a text', { query: 'who', pos: [7] }, /pos/],
    ['a list', [1], /object/],
  ])('refuses %s, naming file and line', async (_what, row, message) => {
    const failure = await read(own, row).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DataError);
    expect((failure as DataError).message).toMatch(message);
    expect((failure as DataError).line).toBe(2);
  });
});
