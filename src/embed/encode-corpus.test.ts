import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Document } from '../data/index.ts';
import { AbortedError, DataError } from '../system/index.ts';
import { type EncodeCorpusOptions, encodeCorpus } from './encode-corpus.ts';
import type { Encoder } from './encoder.ts';
import { VectorFile } from './vector-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-vectors-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Counts what it encodes: a text becomes its length, its first character's code, and 0.5. */
class CountingEncoder implements Encoder {
  readonly id = 'counting';
  readonly fingerprint: string;
  readonly dimensions = 3;
  readonly settings = { kind: 'counting' };
  texts: string[] = [];
  /** Fails at the text that equals this. */
  failAt: string | undefined;

  constructor(fingerprint = 'f1') {
    this.fingerprint = fingerprint;
  }

  async encode(texts: readonly string[]): Promise<Float32Array> {
    if (this.failAt !== undefined && texts.includes(this.failAt)) throw new Error('power cut');
    this.texts.push(...texts);
    return Float32Array.from(texts.flatMap(vectorOf));
  }

  async close(): Promise<void> {}
}

const vectorOf = (text: string) => [text.length, text.charCodeAt(0) || 0, 0.5];
const ODD_IDS = ['a b', 'tab\there', 'line\nbreak', '"quoted"', 'ünï', '\u2028'];
const corpus = (size: number): Document[] =>
  Array.from({ length: size }, (_, index) => {
    return { id: ODD_IDS[index] ?? `d${index}`, title: index % 2 === 0 ? 'T' : '', text: `text ${index}` };
  });

async function* stream(documents: Document[]): AsyncGenerator<Document> {
  yield* documents;
}

const run = (encoder: Encoder, documents: Document[], options: Partial<EncodeCorpusOptions> = {}) =>
  encodeCorpus(encoder, stream(documents), { folder, corpusHash: 'c1', shardRows: 4, ...options });

async function allRows(file: VectorFile, rowsPerChunk: number): Promise<number[]> {
  const rows: number[] = [];
  for await (const { start, vectors } of file.chunks(rowsPerChunk)) {
    expect(start * file.dimensions).toBe(rows.length);
    rows.push(...vectors);
  }
  return rows;
}

const shardBytes = async (file: string) => readFile(file, 'latin1');

describe('encodeCorpus', () => {
  test('holds a vector a document, under its id, whatever the chunks', async () => {
    const file = await run(new CountingEncoder(), corpus(10));
    expect(file.rows).toBe(10);
    expect(file.ids).toEqual(corpus(10).map(({ id }) => id));
    const expected = corpus(10).flatMap(({ title, text }) => vectorOf(title === '' ? text : `${title} ${text}`));
    for (const rowsPerChunk of [1, 3, 4, 7, 100]) expect(await allRows(file, rowsPerChunk)).toEqual(expected);
    expect((await readdir(file.folder)).filter((name) => name.endsWith('.npy'))).toHaveLength(3);
  });

  test('writes what NumPy reads', async () => {
    const { folder: inside } = await run(new CountingEncoder(), corpus(3));
    const bytes = await readFile(join(inside, 'shard-00000.npy'));
    expect(bytes.toString('latin1', 0, 8)).toBe('\x93NUMPY\x01\x00');
    const start = 10 + bytes.readUInt16LE(8);
    expect(start % 64).toBe(0);
    const text = bytes.toString('latin1', 10, start);
    expect(text).toMatch(/^\{'descr': '<f4', 'fortran_order': False, 'shape': \(3, 3\), \} *\n$/);
    expect(bytes.readFloatLE(start)).toBe('T text 0'.length);
    expect(bytes.length).toBe(start + 36);
  });

  test('finished work is opened, not repeated, and documents are not even read', async () => {
    await run(new CountingEncoder(), corpus(10));
    const again = new CountingEncoder();
    const file = await encodeCorpus(again, unreadable(), { folder, corpusHash: 'c1' });
    expect(file.rows).toBe(10);
    expect(again.texts).toEqual([]);
  });

  test('an interrupted run keeps its whole shards byte for byte and goes on behind them', async () => {
    const cut = new CountingEncoder();
    cut.failAt = 'text 9';
    await expect(run(cut, corpus(14))).rejects.toThrow('power cut');
    const inside = join(folder, (await readdir(folder)).find((name) => !name.endsWith('.lock'))!);
    const kept = await shardBytes(join(inside, 'shard-00000.npy'));
    await writeFile(join(inside, 'shard-00002.npy.123-abc.partial'), 'half');
    const resumed = new CountingEncoder();
    const file = await run(resumed, corpus(14));
    expect(resumed.texts).toHaveLength(6);
    expect(await shardBytes(join(inside, 'shard-00000.npy'))).toBe(kept);
    const whole = await encodeCorpus(new CountingEncoder(), stream(corpus(14)), {
      ...{ folder: join(folder, 'whole'), corpusHash: 'c1', shardRows: 4 },
    });
    for (const { file: name } of whole.manifest.shards) {
      expect(await shardBytes(join(file.folder, name))).toBe(await shardBytes(join(whole.folder, name)));
    }
    expect(file.ids).toEqual(whole.ids);
  });

  test('another encoder or another corpus never takes these vectors', async () => {
    const first = await run(new CountingEncoder(), corpus(4));
    const otherModel = new CountingEncoder('f2');
    const second = await run(otherModel, corpus(4));
    const third = await run(new CountingEncoder(), corpus(5), { corpusHash: 'c2' });
    expect(new Set([first.folder, second.folder, third.folder]).size).toBe(3);
    expect(otherModel.texts).toHaveLength(4);
    await expect(VectorFile.open(first.folder, second.manifest.key)).rejects.toThrow(/another encoder or corpus/);
  });

  test('two at once for the same vectors: one encodes, the other waits', async () => {
    const encoders = [new CountingEncoder(), new CountingEncoder()];
    const files = await Promise.all(encoders.map((encoder) => run(encoder, corpus(10))));
    expect(encoders.map(({ texts }) => texts.length).sort((a, b) => a - b)).toEqual([0, 10]);
    expect(await allRows(files[0]!, 5)).toEqual(await allRows(files[1]!, 5));
  });

  test('shards of other documents under the same hash are refused', async () => {
    const cut = new CountingEncoder();
    cut.failAt = 'text 9';
    await expect(run(cut, corpus(14))).rejects.toThrow('power cut');
    const others = corpus(14).map((document) => ({ ...document, id: `x${document.id}` }));
    await expect(run(new CountingEncoder(), others)).rejects.toThrow(/vectors of other documents/);
  });

  test('an empty corpus and a doubled id are DataErrors', async () => {
    await expect(run(new CountingEncoder(), [])).rejects.toThrow(/no documents/);
    const twice = [...corpus(6), corpus(1)[0]!];
    await expect(run(new CountingEncoder(), twice)).rejects.toThrow(/"a b": the corpus holds two documents of this id/);
  });

  test('an aborted signal stops it', async () => {
    await expect(run(new CountingEncoder(), corpus(6), { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
  });
});

describe('VectorFile refuses', () => {
  test.each<[string, (inside: string) => Promise<void>, RegExp]>([
    [
      'a shard that was cut off',
      (inside) => truncate(join(inside, 'shard-00001.npy'), 150),
      /has 150 bytes instead of/,
    ],
    [
      'something else in its place',
      (inside) => writeFile(join(inside, 'shard-00001.npy'), 'x'.repeat(300)),
      /not an \.npy/,
    ],
    ['a missing id', (inside) => writeFile(join(inside, 'shard-00000.ids.jsonl'), '"a"\n'), /1 ids for 4 vectors/],
    [
      'a broken id',
      (inside) => writeFile(join(inside, 'shard-00000.ids.jsonl'), '1\n"a"\n"b"\n"c"\n'),
      /:1: is not an id/,
    ],
    ['a missing shard', (inside) => rm(join(inside, 'shard-00001.npy')), /no such file/],
    ['a broken manifest', (inside) => writeFile(join(inside, 'manifest.json'), '{"version": 1'), /not a manifest/],
  ])('%s', async (_, harm, reason) => {
    const file = await run(new CountingEncoder(), corpus(10));
    await harm(file.folder);
    const opening = VectorFile.open(file.folder);
    await expect(opening).rejects.toThrow(DataError);
    await expect(opening).rejects.toThrow(reason);
  });

  test('an unfinished folder', async () => {
    await expect(VectorFile.open(join(folder, 'nothing'))).rejects.toThrow(/manifest\.json: no such file/);
  });

  test('reading after it was closed', async () => {
    const file = await run(new CountingEncoder(), corpus(4));
    await file.close();
    await expect(file.read(0, 1)).rejects.toThrow(/is closed/);
  });
});

// biome-ignore lint/correctness/useYield: it must fail when it is read
async function* unreadable(): AsyncGenerator<Document> {
  throw new Error('the documents were read');
}
