import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../../system/index.ts';
import { ExpansionFile } from './expansion-file.ts';
import type { RetrieverRow } from './retriever-rows.ts';
import { openRetrieverSource, type RetrieverSourceOptions } from './retriever-source.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'retriever-source-'));
});
afterEach(() => rm(folder, { recursive: true }));

const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

async function write(name: string, ...rows: unknown[]): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, lines(rows));
  return file;
}

async function read(options: Partial<RetrieverSourceOptions>) {
  const source = await openRetrieverSource({ split: 'train', sampleSeed: 7, ...options });
  const pass = async () => {
    const rows: RetrieverRow[] = [];
    for await (const row of source.rows()) rows.push(row);
    return rows;
  };
  const rows = await pass();
  expect(await pass()).toEqual(rows);
  return { rows, counts: source.counts };
}

describe('rows of a data set', () => {
  async function dataset(judgements: string): Promise<void> {
    await mkdir(join(folder, 'qrels'));
    await write(
      'corpus.jsonl',
      { _id: 'd1', title: 'T', text: 'one' },
      { _id: 'd2', text: 'two' },
      { _id: 'd3', text: 'x' },
    );
    await write('queries.jsonl', { _id: 'q1', text: 'who' }, { _id: 'q2', text: 'why' });
    await writeFile(join(folder, 'qrels', 'train.tsv'), `query-id\tcorpus-id\tscore\n${judgements}`);
  }

  it('hold every relevant document, title and text', async () => {
    await dataset('q1\td2\t1\nq1\td1\t2\nq1\td3\t0\nq2\td3\t1\n');
    const { rows } = await read({ dataset: folder });
    expect(rows).toEqual([
      {
        ...{ id: 'q1', query: 'who', expansions: [], negatives: [] },
        positives: [
          { id: 'd1', text: 'T one' },
          { id: 'd2', text: 'two' },
        ],
      },
      { id: 'q2', query: 'why', expansions: [], positives: [{ id: 'd3', text: 'x' }], negatives: [] },
    ]);
  });

  it('are refused from document to query', async () => {
    await dataset('d1\tq1\t1\n');
    const failure = read({ dataset: folder });
    await expect(failure).rejects.toThrow(/document to query/);
    await expect(failure).rejects.toBeInstanceOf(DataError);
  });
});

describe('rows of a file', () => {
  const row = (id: string, more: object = {}) => ({ id, query: `ask ${id}`, positives: [{ text: 'yes' }], ...more });

  it('may be triples and rows of the Echo data', async () => {
    const rows = await write(
      'echo.jsonl',
      { query: ['Find it', 'who'], positive: ['yes', 'indeed'], negative: ['no'] },
      { id: 't', query: 'why', positive: 'so', negative: 'not' },
    );
    expect((await read({ rows })).rows).toMatchObject([
      { query: 'who', positives: [{ text: 'yes' }, { text: 'indeed' }], negatives: [{ text: 'no' }] },
      { id: 't', query: 'why' },
    ]);
  });

  it('are left out and counted by reason', async () => {
    const long = Array.from({ length: 40 }, (_, at) => `word${at}`).join(' ');
    const same = { query: 'again', positive: 'yes' };
    const rows = await write(
      'rows.jsonl',
      row('good'),
      row('blank', { query: ' ' }),
      row('none', { positives: [] }),
      row('empty', { positives: [{ text: '\n' }] }),
      row('reversed', { query: long, positives: [{ text: 'What is it about?' }, { text: 'who wrote this' }] }),
      row('claim', { query: long, positives: [{ text: 'It is a claim.' }] }),
      ...[same, same],
    );
    const { rows: kept, counts } = await read({ rows });
    expect(kept.map(({ query }) => query.slice(0, 8))).toEqual(['ask good', 'word0 wo', 'again']);
    expect(counts).toMatchObject({
      read: 8,
      leftOut: { noQuery: 1, noPositive: 2, documentToQuery: 1, equalRow: 1 },
      leftOutIds: ['blank', 'none', 'empty', 'reversed', expect.any(String)],
    });
  });

  it('lose blank documents, and negatives that are positives, with their scores', async () => {
    const positives = [{ text: ' ' }, { id: 'p', text: 'yes' }];
    const negatives = [{ text: ' yes ' }, { id: 'p', text: 'other' }, { text: '' }, { text: 'no' }];
    const rows = await write(
      'rows.jsonl',
      row('q', { positives, negatives, scores: { positives: [1, 2], negatives: [3, 4, 5, 6] } }),
    );
    const found = await read({ rows });
    expect(found.rows).toMatchObject([
      { positives: [positives[1]], negatives: [negatives[3]], scores: { positives: [2], negatives: [6] } },
    ]);
    expect(found.counts).toMatchObject({ blankTexts: 2, negativesThatArePositives: 2 });
  });

  it('are refused if none is left, with the reasons', async () => {
    const query = Array.from({ length: 40 }, (_, at) => `word${at}`).join(' ');
    const reversed = row('r', { query, positives: [{ text: 'What is it?' }] });
    const rows = await write('rows.jsonl', row('none', { positives: [] }), reversed);
    const failure = read({ rows });
    await expect(failure).rejects.toThrow(/no row is left of 2: 1 row without a positive.*, 1 row .*document to query/);
    await expect(failure).rejects.toMatchObject({ file: rows, id: 'none', fix: expect.stringMatching(/swap/) });
  });

  it('may hold expansions instead of a query if that is allowed', async () => {
    const rows = await write('rows.jsonl', { query: 'pseudo-document', pos: ['yes'], neg: ['no'] });
    await expect(read({ rows })).rejects.toThrow(/no row is left of 1: 1 row without a query/);
    expect((await read({ rows, allowNoQuery: true })).rows).toMatchObject([
      { query: '', expansions: ['pseudo-document'] },
    ]);
  });

  it('are refused if an id occurs twice', async () => {
    const rows = await write('rows.jsonl', row('a'), row('b'), row('a'));
    await expect(read({ rows })).rejects.toMatchObject({ line: 3, id: 'a' });
  });

  it('are sampled by seed, a smaller sample being part of a larger one', async () => {
    const rows = await write('rows.jsonl', ...Array.from({ length: 30 }, (_, at) => row(`q${at}`)));
    const ids = async (limit: number) => (await read({ rows, limit })).rows.map(({ id }) => id);
    const [small, large] = [await ids(4), await ids(12)];
    expect([small.length, large.length]).toEqual([4, 12]);
    expect(large.filter((id) => small.includes(id))).toEqual(small);
  });
});

it('rows come from exactly one source', async () => {
  await expect(read({})).rejects.toBeInstanceOf(UsageError);
  await expect(read({ dataset: folder, rows: 'x' })).rejects.toBeInstanceOf(UsageError);
});

describe('a file of expansions', () => {
  it.each<[string, object[], Record<string, string[]>]>([
    [
      'expansions.jsonl',
      [
        { query: 'a', sample: 1, text: 'a1' },
        { query: 'b', sample: 0, text: 'b0' },
        { query: 'a', sample: 0, text: 'a0' },
      ],
      { a: ['a0', 'a1'], b: ['b0'], c: [] },
    ],
    [
      'candidates',
      [
        { queryId: 'a', index: 0, text: 'x' },
        { queryId: 'a', index: 1, text: 'y' },
      ],
      { a: ['x', 'y'] },
    ],
    [
      "BEIR's queries",
      [
        { _id: 'a', text: ['who', 'x', 'y'] },
        { _id: 'b', text: 'who' },
      ],
      { a: ['x', 'y'], b: [] },
    ],
  ])('%s is read by query', async (_name, rows, wanted) => {
    const file = join(folder, 'file.jsonl');
    // A byte order mark, CR LF and a blank line move the lines.
    await writeFile(file, `\ufeff${rows.map((row) => JSON.stringify(row)).join('\r\n\r\n')}`);
    const expansions = await ExpansionFile.open(file);
    const found = Object.keys(wanted).map(async (id) => [id, await expansions.textsOf(id)]);
    expect(Object.fromEntries(await Promise.all(found))).toEqual(wanted);
    await expansions.close();
  });

  it('is refused if it is compressed', async () => {
    const file = join(folder, 'file.jsonl.gz');
    await writeFile(file, gzipSync(lines([{ query: 'a', sample: 0, text: 'x' }])));
    await expect(ExpansionFile.open(file)).rejects.toThrow(/compressed/);
  });

  it('is refused if a sample occurs twice', async () => {
    const file = await write('file.jsonl', { query: 'a', sample: 0, text: 'x' }, { query: 'a', sample: 0, text: 'y' });
    const expansions = await ExpansionFile.open(file);
    await expect(expansions.textsOf('a')).rejects.toMatchObject({ id: 'a' });
    await expansions.close();
  });

  it('of another data set is refused where its lines hold the queries', async () => {
    const file = await write('queries.jsonl', { _id: 'a', text: ['who', 'x'] });
    const expansions = await ExpansionFile.open(file);
    expect(await expansions.textsOf('a', ' who\n')).toEqual(['x']);
    await expect(expansions.textsOf('a', 'why')).rejects.toMatchObject({ file, id: 'a' });
    await expansions.close();
  });
});
