import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BeirDataset, type Expansion } from '../data/index.ts';
import { DataError } from '../system/index.ts';
import {
  joinExpansions,
  loadTopics,
  replaceQueries,
  type Topics,
  withExpansions,
  withoutExpansions,
} from './topics.ts';

let folder: string;
let dataset: BeirDataset;
beforeAll(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'topics-')), 'toy');
  await mkdir(join(folder, 'qrels'), { recursive: true });
  const rows = (all: readonly object[]) => all.map((row) => `${JSON.stringify(row)}\n`).join('');
  const ids = ['q3', 'q1', 'q4', 'q2', 'q0'];
  const tsv = (all: readonly string[]) => ['query-id\tcorpus-id\tscore', ...all, ''].join('\n');
  const files = {
    'corpus.jsonl': rows([{ _id: 'd1', title: '', text: 'saw' }]),
    'queries.jsonl': rows(ids.map((id) => ({ _id: id, text: `text of ${id}` }))),
    'queries_q2d.jsonl': rows(ids.map((id) => ({ _id: id, text: [`text of ${id}`, `one of ${id}`, `two of ${id}`] }))),
    'qrels/test.tsv': tsv(['q1\td1\t1', 'q2\td1\t2', 'q2\td2\t0', 'q3\td1\t1', 'q4\td1\t1']),
    'qrels/dev.tsv': tsv(['q0\td1\t1']),
    'qrels/empty.tsv': tsv([]),
    'qrels/strange.tsv': tsv(['q1\td1\t1', 'q9\td1\t1']),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  dataset = await BeirDataset.open(folder);
});
afterAll(() => rm(join(folder, '..'), { recursive: true, force: true }));

const ids = ({ queries }: Topics) => queries.map(({ id }) => id);

function expansion(query: string, sample: number, text: string): Expansion {
  const counts = { promptTokens: 1, completionTokens: 1, milliseconds: 0 };
  return { query, sample, text, finish: 'stop', ...counts, key: 'key' };
}

describe('topics', () => {
  it('are the judged queries of one split, in the order of the queries file', async () => {
    const topics = await loadTopics(dataset, 'test');
    expect(topics).toMatchObject({ dataset: 'toy', split: 'test' });
    expect(topics.queries).toEqual(
      ['q3', 'q1', 'q4', 'q2'].map((id) => ({ id, text: `text of ${id}`, expansions: [] })),
    );
    const qrels = ['q3', 'q1', 'q4'].map((id) => [id, new Map([['d1', 1]])]);
    expect([...topics.qrels]).toEqual([
      ...qrels,
      [
        'q2',
        new Map([
          ['d1', 2],
          ['d2', 0],
        ]),
      ],
    ]);
    expect(await loadTopics(dataset, 'dev')).toMatchObject({ split: 'dev', queries: [{ id: 'q0' }] });
  });

  it('include the expansions of another queries file', async () => {
    const { queries } = await loadTopics(dataset, 'dev', { queriesFile: 'queries_q2d.jsonl' });
    expect(queries).toEqual([{ id: 'q0', text: 'text of q0', expansions: ['one of q0', 'two of q0'] }]);
  });

  it('are a seeded sample, queries and judgements alike, in the order of the file', async () => {
    const all = ids(await loadTopics(dataset, 'test'));
    const drawn = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const two = await loadTopics(dataset, 'test', { limit: 2, seed });
      expect(two.queries).toHaveLength(2);
      expect([...two.qrels.keys()]).toEqual(ids(two));
      expect(ids(two)).toEqual(all.filter((id) => two.qrels.has(id)));
      expect(ids(await loadTopics(dataset, 'test', { limit: 2, seed }))).toEqual(ids(two));
      expect(ids(await loadTopics(dataset, 'test', { limit: 3, seed }))).toEqual(expect.arrayContaining(ids(two)));
      drawn.add(ids(two).join());
    }
    expect(drawn.size).toBeGreaterThan(2);
    // 42 is the seed where none is given.
    expect(ids(await loadTopics(dataset, 'test', { limit: 1 }))).toEqual(
      ids(await loadTopics(dataset, 'test', { limit: 1, seed: 42 })),
    );
  });

  it.each([4, 5, 1000])('are all of them under a limit of %i', async (limit) => {
    expect(ids(await loadTopics(dataset, 'test', { limit }))).toEqual(['q3', 'q1', 'q4', 'q2']);
  });

  it.each([
    ['empty', /empty\.tsv: the file holds no judgement/],
    ['strange', /q9.*split strange judges a query that the queries file lacks/],
    ['none', /no split "none"/],
  ])('are refused of the split %s', async (split, message) => {
    const refused = loadTopics(dataset, split);
    await expect(refused).rejects.toThrow(DataError);
    await expect(refused).rejects.toThrow(message);
  });
});

describe('expansions', () => {
  it('are joined by query id, blank ones left out', async () => {
    const topics = await loadTopics(dataset, 'test', { queriesFile: 'queries_q2d.jsonl' });
    const joined = withExpansions(
      topics,
      new Map([
        ['q1', [expansion('q1', 0, 'first'), expansion('q1', 1, ' \n'), expansion('q1', 2, 'last')]],
        ['q3', [expansion('q3', 0, '')]],
        ['q0', [expansion('q0', 0, 'of no topic')]],
      ]),
    );
    expect(joined.queries.map(({ id, expansions }) => [id, ...expansions])).toEqual([
      ['q3'],
      ['q1', 'first', 'last'],
      ['q4'],
      ['q2'],
    ]);
    expect(joined).toMatchObject({ dataset: 'toy', split: 'test', qrels: topics.qrels });
    expect(joined.queries.map(({ text }) => text)).toEqual(topics.queries.map(({ text }) => text));
    // The topics themselves stay as they are.
    expect(topics.queries[0]!.expansions).toEqual(['one of q3', 'two of q3']);
  });

  it('can all be removed', async () => {
    const topics = await loadTopics(dataset, 'test', { queriesFile: 'queries_q2d.jsonl' });
    expect(withoutExpansions(topics)).toEqual(await loadTopics(dataset, 'test'));
  });

  it('are read from a file, in the order of their samples', async () => {
    const file = join(folder, 'expansions.jsonl');
    const topics = await loadTopics(dataset, 'dev');
    const rows = [expansion('q0', 1, 'second'), expansion('q7', 0, 'of no topic'), expansion('q0', 0, 'first')];
    await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    expect((await joinExpansions(topics, file)).queries).toEqual([
      { id: 'q0', text: 'text of q0', expansions: ['first', 'second'] },
    ]);
  });

  it('replace the query, as often repeated as in the file of another program', async () => {
    const file = join(folder, 'replay.jsonl');
    const rows = [
      { ...expansion('q1', 0, 'one'), queryRepeats: 2 },
      { ...expansion('q1', 1, 'two'), queryRepeats: 1 },
      ...[expansion('q2', 0, 'alone'), expansion('q3', 0, ''), { ...expansion('q4', 0, ' '), queryRepeats: 3 }],
    ];
    await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const { queries } = await replaceQueries(await loadTopics(dataset, 'test'), file);
    expect(Object.fromEntries(queries.map(({ id, text }) => [id, text]))).toEqual({
      ...{ q1: 'text of q1 text of q1 one text of q1 two', q2: 'alone', q3: 'text of q3', q4: 'text of q4' },
    });
    expect(queries.every(({ expansions }) => expansions.length === 0)).toBe(true);
  });

  it('are refused if a query has none; a blank one is an answer', async () => {
    const file = join(folder, 'lacking.jsonl');
    const all = ['q1', 'q2', 'q3', 'q4'].map(
      (id) => `${JSON.stringify(expansion(id, 0, id === 'q2' ? '' : 'some'))}\n`,
    );
    const topics = await loadTopics(dataset, 'test');
    await writeFile(file, all.join(''));
    expect((await joinExpansions(topics, file)).queries.map(({ expansions }) => expansions.length)).toEqual([
      1, 1, 1, 0,
    ]);
    await writeFile(file, all.slice(0, 3).join(''));
    await expect(joinExpansions(topics, file)).rejects.toThrow(
      /lacking\.jsonl.*q4.*no expansion for this query of split test/,
    );
    await expect(joinExpansions(topics, file)).rejects.toThrow(DataError);
  });
});
