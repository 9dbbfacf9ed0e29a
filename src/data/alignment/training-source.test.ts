import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../../system/index.ts';
import type { TrainingQuery } from './alignment-records.ts';
import { openTrainingSource, type TrainingSourceOptions } from './training-source.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'training-source-'));
  const ids = Array.from({ length: 20 }, (_none, index) => `q${index}`);
  const lines = (rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await mkdir(join(folder, 'qrels'));
  await writeFile(join(folder, 'queries.jsonl'), lines(ids.map((id) => ({ _id: id, text: `about ${id}` }))));
  await writeFile(
    join(folder, 'corpus.jsonl'),
    lines(ids.map((id) => ({ _id: `d-${id}`, title: 'T', text: `of ${id}` }))),
  );
  const judged = ids.map((id) => `${id}\td-${id}\t1\n`).join('');
  await writeFile(join(folder, 'qrels', 'train.tsv'), `query-id\tcorpus-id\tscore\n${judged}`);
  const triples = ids.map((id) => ({ id, query: `about ${id}`, positive: `of ${id}`, negative: 'n' }));
  await writeFile(join(folder, 'triples.jsonl'), lines(triples));
});
afterEach(() => rm(folder, { recursive: true }));

const DEFAULTS = { split: 'train', sampleSeed: 7, withGold: false };

async function read(options: Partial<TrainingSourceOptions>): Promise<[TrainingQuery[], TrainingQuery[]]> {
  const source = await openTrainingSource({ ...DEFAULTS, ...options });
  const passes: TrainingQuery[][] = [];
  for (const _pass of [1, 2]) {
    const queries: TrainingQuery[] = [];
    for await (const query of source()) queries.push(query);
    passes.push(queries);
  }
  return passes as [TrainingQuery[], TrainingQuery[]];
}

describe('openTrainingSource', () => {
  it.each(['dataset', 'triples'])('reads all queries of a %s any number of times', async (kind) => {
    const place = kind === 'dataset' ? { dataset: folder } : { triples: join(folder, 'triples.jsonl') };
    const [first, second] = await read(place);
    expect(first).toHaveLength(20);
    expect(second).toEqual(first);
    expect(first[3]).toMatchObject({ id: 'q3', text: 'about q3' });
  });

  it('draws a sample by its seed, in the order of the queries; a smaller one is part of a larger one', async () => {
    const idsOf = async (limit: number, options: Partial<TrainingSourceOptions> = {}) => {
      const [first, second] = await read({ dataset: folder, limit, ...options });
      expect(second).toEqual(first);
      return first.map(({ id }) => id);
    };
    const eight = await idsOf(8);
    expect(eight).toHaveLength(8);
    expect(eight).toEqual([...eight].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))));
    const twelve = await idsOf(12);
    expect(twelve).toHaveLength(12);
    expect(twelve).toEqual(expect.arrayContaining(eight));
    expect(await idsOf(8, { sampleSeed: 8 })).not.toEqual(eight);
    expect(await idsOf(8, { dataset: undefined, triples: join(folder, 'triples.jsonl') })).toEqual(eight);
    expect(await idsOf(100)).toHaveLength(20);
  });

  it('adds the text of the gold document if requested', async () => {
    const [[query]] = await read({ dataset: folder, limit: 1, withGold: true });
    expect(query!.goldText).toBe(`T of ${query!.id}`);
    const [[plain]] = await read({ dataset: folder, limit: 1 });
    expect(plain!.goldText).toBeUndefined();
    const [[triple]] = await read({ triples: join(folder, 'triples.jsonl'), limit: 1, withGold: true });
    expect(triple!.goldText).toBe(`of ${triple!.id}`);
  });

  it('requires one source, which must exist', async () => {
    await expect(read({})).rejects.toThrow(UsageError);
    await expect(read({ dataset: folder, triples: 'x' })).rejects.toThrow(UsageError);
    await expect(read({ dataset: folder, split: 'dev' })).rejects.toThrow(DataError);
    await expect(read({ triples: join(folder, 'missing.jsonl') }).then(() => undefined)).rejects.toThrow(DataError);
  });
});
