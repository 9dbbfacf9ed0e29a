import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AbortedError, DataError, Random } from '../../system/index.ts';
import { CompactVectors } from './compact-vectors.ts';
import { ExactIndex } from './exact-index.ts';
import { MemoryVectors } from './vector-source.ts';

const folder = await mkdtemp(join(tmpdir(), 'compact-'));
afterAll(() => rm(folder, { recursive: true }));

const FORMATS = ['f16', 'int8'] as const;

function memory(rows: number, dimensions: number, seed = 1): MemoryVectors {
  const random = new Random(seed);
  const ids = Array.from({ length: rows }, (_none, row) => `d${row}`);
  return new MemoryVectors(
    ids,
    Float32Array.from({ length: rows * dimensions }, () => random.normal()),
    dimensions,
  );
}

const open = (source: MemoryVectors, format: 'f16' | 'int8', key: string, unit = false, signal?: AbortSignal) =>
  CompactVectors.open(source, { folder, key, format, unit, signal });

async function firstChunk(vectors: CompactVectors) {
  for await (const chunk of vectors.chunks(vectors.rows)) return chunk;
  throw new Error('no chunk');
}

describe('vectors in f16 and int8', () => {
  it('are rounded to nearest in f16', async () => {
    // 1 + 2^-11 lies halfway between two halves: the even one is 1. The largest half is 65504.
    const source = new MemoryVectors(['a', 'b'], Float32Array.of(1, 1 + 2 ** -11, -2, 65504), 2);
    const { vectors, scales } = await firstChunk(await open(source, 'f16', 'halves'));
    expect([...vectors]).toEqual([0x3c00, 0x3c00, 0xc000, 0x7bff]);
    expect(scales).toBeUndefined();
  });

  it('have a scale for each vector in int8, whatever the others hold', async () => {
    const source = new MemoryVectors(['a', 'b', 'zero'], Float32Array.of(254, -127, 1, 0.127, 0.064, 0, 0, 0, 0), 3);
    const { vectors, scales } = await firstChunk(await open(source, 'int8', 'bytes'));
    expect([...vectors]).toEqual([127, -63, 1, 127, 64, 0, 0, 0, 0]);
    expect([...scales!]).toEqual([2, Math.fround(Math.fround(0.127) / 127), 0]);
  });

  it('have length 1 where they are compared by cosine', async () => {
    const source = new MemoryVectors(['a', 'zero'], Float32Array.of(3, -4, 0, 0), 2);
    const { vectors, scales } = await firstChunk(await open(source, 'int8', 'unit', true));
    expect([...vectors]).toEqual([95, -127, 0, 0]);
    expect(scales![0]).toBeCloseTo(0.8 / 127, 7);
  });

  it.each([
    ['f16', 2],
    ['int8', 4],
  ] as const)('take a fraction of the space and rank nearly as f32 does (%s)', async (format, ratio) => {
    const source = memory(3000, 64);
    const compact = await open(source, format, 'large');
    expect(((3000 * 64 * 4) / (await stat(compact.file)).size) * 1.1).toBeGreaterThan(ratio);
    const random = new Random(3);
    const queries = Float32Array.from({ length: 20 * 64 }, () => random.normal());
    const [exact, index] = [
      await ExactIndex.open(source, { threads: 2 }),
      await ExactIndex.open(compact, { threads: 2 }),
    ];
    const streaming = await ExactIndex.open(compact, { threads: 1, residentBytes: 0 });
    const [expected, found] = [await exact.search(queries, 10), [...(await index.search(queries, 10))]];
    // The number of threads and what stays in memory change nothing.
    expect([...(await streaming.search(queries, 10))]).toEqual(found);
    for (const [row, hits] of found.entries()) {
      for (const [rank, { score }] of hits.entries()) {
        const difference = Math.abs(score - expected.at(row)![rank]!.score);
        expect(difference).toBeLessThan(format === 'f16' ? 0.02 : 0.3);
      }
    }
    await Promise.all([exact, index, streaming].map((one) => one.close()));
  });

  it.each(FORMATS)('score by cosine as f32 does, zero vectors included (%s)', async (format) => {
    const source = new MemoryVectors(['a', 'b', 'zero'], Float32Array.of(3, 4, -40, 0, 0, 0), 2);
    const index = await ExactIndex.open(await open(source, format, 'cosine', true), { similarity: 'cosine' });
    const [hits] = await index.search(Float32Array.of(30, 0), 3);
    expect(hits!.map(({ id }) => id)).toEqual(['a', 'zero', 'b']);
    for (const [at, score] of [0.6, 0, -1].entries()) expect(hits![at]!.score).toBeCloseTo(score, 2);
    await index.close();
  });

  it.each(FORMATS)('are made once, and again if their file is cut or another one (%s)', async (format) => {
    const source = memory(500, 8, 5);
    const { file } = await open(source, format, 'once');
    const whole = await readFile(file);
    const { mtimeMs } = await stat(file);
    await open(source, format, 'once');
    expect((await stat(file)).mtimeMs).toBe(mtimeMs);
    await truncate(file, whole.length - 1);
    await open(source, format, 'once');
    expect(await readFile(file)).toEqual(whole);
    await writeFile(file, Buffer.from(whole).fill(' ', 0, 60));
    const again = await open(source, format, 'once');
    expect(await readFile(file)).toEqual(whole);
    await truncate(file, 600);
    await expect(firstChunk(again)).rejects.toThrow(DataError);
    // Another form is another file.
    const files = [await open(source, format, 'once', true), await open(source, format, 'other')];
    expect(new Set([file, ...files.map((one) => one.file)]).size).toBe(3);
  });

  it('leave nothing when they are stopped', async () => {
    const controller = new AbortController();
    const source = memory(9000, 4);
    const chunks = source.chunks.bind(source);
    source.chunks = async function* (rows) {
      for await (const chunk of chunks(rows)) {
        if (chunk.start > 0) controller.abort();
        yield chunk;
      }
    };
    const before = await readdir(folder);
    await expect(open(source, 'int8', 'stopped', false, controller.signal)).rejects.toThrow(AbortedError);
    expect(await readdir(folder)).toEqual(before);
  });

  it.each([
    ['f16', 65520],
    ['f16', Number.NaN],
    ['int8', Number.POSITIVE_INFINITY],
    ['int8', Number.NaN],
  ] as const)('refuse %s a number that it cannot hold (%s), naming the document', async (format, value) => {
    const source = new MemoryVectors(['a', 'b'], Float32Array.of(1, 2, 3, value), 2);
    await expect(open(source, format, `${format} ${value}`)).rejects.toMatchObject({ id: 'b', constructor: DataError });
  });
});
