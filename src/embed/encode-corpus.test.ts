import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Document } from '../data/index.ts';
import { AbortedError, DataError } from '../system/index.ts';
import { type EncodeCorpusOptions, encodeCorpus } from './encode-corpus.ts';
import type { EncodeOptions, Encoder } from './encoder.ts';
import { VectorFile } from './vector-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-vectors-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Counts what it encodes. A text's vector is its length, its first character's code, and 0.5. */
class CountingEncoder implements Encoder {
  readonly id = 'counting';
  readonly fingerprint: string;
  readonly dimensions = 3;
  readonly settings: Encoder['settings'] = { kind: 'counting' };
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
  encodeCorpus(encoder, stream(documents), { folder, corpusHash: 'c1', batchRows: 4, ...options });

async function allRows(file: VectorFile, rowsPerChunk: number): Promise<number[]> {
  const rows: number[] = [];
  for await (const { start, vectors } of file.chunks(rowsPerChunk)) {
    expect(start * file.dimensions).toBe(rows.length);
    rows.push(...vectors);
  }
  return rows;
}

const storeOf = async (file: VectorFile) => readFile(join(file.folder, 'vectors.f32'));

describe('encodeCorpus', () => {
  test('holds one vector per document, under its id, for any chunk size', async () => {
    const file = await run(new CountingEncoder(), corpus(10));
    expect(file.rows).toBe(10);
    expect(file.ids).toEqual(corpus(10).map(({ id }) => id));
    const expected = corpus(10).flatMap(({ title, text }) => vectorOf(title === '' ? text : `${title} ${text}`));
    for (const rowsPerChunk of [1, 3, 4, 7, 100]) expect(await allRows(file, rowsPerChunk)).toEqual(expected);
  });

  test('opens finished work without repeating it, and without reading the documents', async () => {
    await run(new CountingEncoder(), corpus(10));
    const again = new CountingEncoder();
    const file = await encodeCorpus(again, unreadable(), { folder, corpusHash: 'c1' });
    expect(file.rows).toBe(10);
    expect(again.texts).toEqual([]);
  });

  test('an interrupted run keeps its batches and resumes after them, with the same bytes', async () => {
    const cut = new CountingEncoder();
    cut.failAt = 'text 9';
    await expect(run(cut, corpus(14))).rejects.toThrow('power cut');
    const resumed = new CountingEncoder();
    const file = await run(resumed, corpus(14));
    expect(resumed.texts).toHaveLength(6);
    const whole = await run(new CountingEncoder(), corpus(14), { folder: join(folder, 'whole') });
    expect(await storeOf(file)).toEqual(await storeOf(whole));
    expect(file.ids).toEqual(whole.ids);
  });

  test('removes what a kill left half-written, and makes it again', async () => {
    const { folder: inside } = await run(new CountingEncoder(), corpus(8));
    const [vectors, keys] = [join(inside, 'vectors.f32'), join(inside, 'vectors.keys')];
    const whole = await readFile(vectors);
    // Killed in the third row's vector; between vectors and keys; in a key.
    for (const [bytes, keyBytes, missing] of [
      [2 * 12 + 5, 8 * 20, 6],
      [8 * 12, 5 * 20, 3],
      [8 * 12, 7 * 20 + 3, 1],
      [0, 0, 8],
    ] as const) {
      await truncate(vectors, bytes);
      await truncate(keys, keyBytes);
      const again = new CountingEncoder();
      await run(again, corpus(8));
      expect(again.texts).toHaveLength(missing);
      expect(await readFile(vectors)).toEqual(whole);
    }
  });

  test('added documents cost only their own embeddings, wherever they are, and give the same bytes as a new index', async () => {
    await run(new CountingEncoder(), corpus(30));
    const more = [...corpus(34).slice(30), ...corpus(30).reverse()];
    const again = new CountingEncoder();
    const file = await run(again, more, { corpusHash: 'c2' });
    expect(again.texts).toHaveLength(4);
    const anew = await run(new CountingEncoder(), more, { corpusHash: 'c2', folder: join(folder, 'anew') });
    expect(await allRows(file, 7)).toEqual(await allRows(anew, 7));
    expect(file.ids).toEqual(anew.ids);
  });

  test('equal texts under several ids are encoded once', async () => {
    const encoder = new CountingEncoder();
    const documents = ['a', 'b', 'c', 'd', 'e', 'f'].map((id, at) => ({ id, title: '', text: `text ${at % 2}` }));
    const file = await run(encoder, documents, { batchRows: 2 });
    expect(encoder.texts).toEqual(['text 0', 'text 1']);
    expect(await allRows(file, 4)).toEqual(documents.flatMap(({ text }) => vectorOf(text)));
  });

  test('another encoder never gets these vectors', async () => {
    const first = await run(new CountingEncoder(), corpus(4));
    const otherModel = new CountingEncoder('f2');
    const second = await run(otherModel, corpus(4));
    expect(second.folder).not.toBe(first.folder);
    expect(otherModel.texts).toHaveLength(4);
  });

  test('of two concurrent runs for the same vectors, one encodes and the other waits', async () => {
    const encoders = [new CountingEncoder(), new CountingEncoder()];
    const files = await Promise.all(encoders.map((encoder) => run(encoder, corpus(10))));
    expect(encoders.map(({ texts }) => texts.length).sort((a, b) => a - b)).toEqual([0, 10]);
    expect(await allRows(files[0]!, 5)).toEqual(await allRows(files[1]!, 5));
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e39])('a vector with %s is refused and not stored', async (bad) => {
    const encoder = new CountingEncoder();
    const encode = encoder.encode.bind(encoder);
    encoder.encode = async (texts) => {
      const vectors = await encode(texts);
      const at = texts.indexOf('text 5');
      if (at >= 0) vectors[at * 3 + 1] = bad;
      return vectors;
    };
    await expect(run(encoder, corpus(10))).rejects.toMatchObject({ id: corpus(10)[5]!.id });
    const again = new CountingEncoder();
    await run(again, corpus(10));
    expect(again.texts).toContain('text 5');
  });

  test('counts documents that the encoder truncates, also if they were encoded before', async () => {
    class CuttingEncoder extends CountingEncoder {
      override readonly settings = { kind: 'counting', maxLength: 8 };
      override async encode(texts: readonly string[], _role?: unknown, options?: EncodeOptions) {
        for (const [row, text] of texts.entries()) if (text.includes('7') || text.includes('8')) options?.onCut?.(row);
        return super.encode(texts);
      }
    }
    expect((await run(new CuttingEncoder('c'), corpus(8))).manifest.cut).toEqual({ documents: 1, tokens: 8 });
    const more = await run(new CuttingEncoder('c'), corpus(10), { corpusHash: 'c2' });
    expect(more.manifest.cut).toEqual({ documents: 2, tokens: 8 });
    expect((await run(new CountingEncoder(), corpus(8))).manifest.cut).toBeUndefined();
  });

  test('an empty corpus and a duplicate id are DataErrors', async () => {
    await expect(run(new CountingEncoder(), [])).rejects.toThrow(/no documents/);
    const twice = [...corpus(6), corpus(1)[0]!];
    await expect(run(new CountingEncoder(), twice)).rejects.toThrow(
      /"a b": the corpus holds two documents with this id/,
    );
  });

  test('an aborted signal stops it', async () => {
    await expect(run(new CountingEncoder(), corpus(6), { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
  });
});

describe('damage', () => {
  const damages: [string, (stem: string, inside: string) => Promise<void>, RegExp][] = [
    ['truncated vectors', (_stem, inside) => truncate(join(inside, 'vectors.f32'), 50), /lacks the vector of/],
    [
      'keys of something else',
      (_stem, inside) => writeFile(join(inside, 'vectors.keys'), 'x'.repeat(200)),
      /lacks the/,
    ],
    ['a missing id', (stem) => writeFile(`${stem}.ids.jsonl`, '"a"\n'), /1 ids for 10 vectors/],
    ['a broken id', (stem) => writeFile(`${stem}.ids.jsonl`, '1\n'.repeat(10)), /not an id/],
    ['missing rows', (stem) => truncate(`${stem}.rows`, 8), /has 8 bytes instead of 80/],
    ['a broken manifest', (stem) => writeFile(`${stem}.json`, '{"version": 2'), /not a manifest/],
    ['missing vectors', (_stem, inside) => rm(join(inside, 'vectors.f32')), /lacks the vector of/],
  ];

  test.each(damages)('%s: detected on opening, and fixed by encoding', async (_what, harm, reason) => {
    const file = await run(new CountingEncoder(), corpus(10));
    const rows = await allRows(file, 4);
    const { key } = file.manifest;
    await harm(join(file.folder, `corpus-${key.slice(0, 32)}`), file.folder);
    const opening = VectorFile.open(file.folder, key);
    await expect(opening).rejects.toThrow(DataError);
    await expect(opening).rejects.toThrow(reason);
    expect(await allRows(await run(new CountingEncoder(), corpus(10)), 4)).toEqual(rows);
  });

  test('an unfinished folder', async () => {
    await expect(VectorFile.open(join(folder, 'nothing'), 'k')).rejects.toThrow(/corpus-k\.json: no such file/);
  });

  test('reading after close', async () => {
    const file = await run(new CountingEncoder(), corpus(4));
    await file.close();
    await expect(file.read(0, 1)).rejects.toThrow(/is closed/);
  });
});

// biome-ignore lint/correctness/useYield: it must fail if it is read
async function* unreadable(): AsyncGenerator<Document> {
  throw new Error('the documents were read');
}
