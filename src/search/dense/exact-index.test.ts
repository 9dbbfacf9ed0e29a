import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { ScoredDocument } from '../../measures/index.ts';
import { AbortedError, DataError, Random, UsageError } from '../../system/index.ts';
import { ExactIndex, type ExactIndexOptions } from './exact-index.ts';
import { MemoryVectors, type VectorChunk, type VectorSource } from './vector-source.ts';

interface GoldenSet {
  ids: string[];
  corpus: number[][];
  queries: number[][];
  hits: Record<'dot' | 'cosine', [id: string, score: number][][]>;
}
const golden: Record<'integers' | 'floats', GoldenSet> = JSON.parse(
  await readFile(new URL('../goldens/exact-search.json', import.meta.url), 'utf8'),
);

const opened: ExactIndex[] = [];
afterAll(() => Promise.all(opened.map((index) => index.close())));

async function open(source: VectorSource, options: ExactIndexOptions = {}): Promise<ExactIndex> {
  const index = await ExactIndex.open(source, { threads: 2, ...options });
  opened.push(index);
  return index;
}

function normals(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.normal());
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_nothing, row) => `d${row}`);
}

function memory(rows: number, dimensions: number, seed = 1): MemoryVectors {
  return new MemoryVectors(numbered(rows), normals(rows * dimensions, seed), dimensions);
}

const ids = (hits: readonly ScoredDocument[]) => hits.map(({ id }) => id);

/** A source that counts how many chunks are read ahead of what was asked, and may misbehave. */
class WatchedVectors implements VectorSource {
  readonly rows: number;
  readonly dimensions: number;
  passes = 0;
  readonly #vectors: VectorSource;
  readonly #change: (chunk: VectorChunk) => VectorChunk | undefined | Promise<VectorChunk>;

  constructor(vectors: VectorSource, change: (chunk: VectorChunk) => VectorChunk | undefined | Promise<VectorChunk>) {
    this.rows = vectors.rows;
    this.dimensions = vectors.dimensions;
    this.#vectors = vectors;
    this.#change = change;
  }

  id(row: number): string {
    return this.#vectors.id(row);
  }

  async *chunks(rows: number) {
    this.passes++;
    for await (const chunk of this.#vectors.chunks(rows)) {
      const changed = await this.#change(chunk);
      if (changed !== undefined) yield changed;
    }
  }
}

describe('exact search', () => {
  it.each([
    ['integers', 'dot'],
    ['floats', 'dot'],
    ['floats', 'cosine'],
  ] as const)("finds NumPy's hits (%s, %s), ties by id descending", async (name, similarity) => {
    const set = golden[name];
    const vectors = Float32Array.from(set.corpus.flat());
    const dimensions = set.queries[0]!.length;
    const index = await open(new MemoryVectors(set.ids, vectors, dimensions), { similarity });
    const found = [...(await index.search(Float32Array.from(set.queries.flat()), 20))];
    for (const [query, expected] of set.hits[similarity].entries()) {
      expect(ids(found[query]!)).toEqual(expected.map(([id]) => id));
      for (const [rank, [, score]] of expected.entries()) expect(found[query]![rank]!.score).toBeCloseTo(score, 5);
    }
  });

  it('does not depend on threads, on residence, on the queries beside it, or on being asked again', async () => {
    const source = memory(10_000, 96);
    const queries = normals(40 * 96, 2);
    const first = [...(await (await open(source)).search(queries, 100))];
    const streaming = await open(source, { threads: 3, residentBytes: 0 });
    expect([...(await streaming.search(queries, 100))]).toEqual(first);
    const one = await open(source, { threads: 1 });
    expect([...(await one.search(queries, 100))]).toEqual(first);
    expect([...(await one.search(queries, 100))]).toEqual(first);
    expect([...(await one.search(queries.slice(96, 5 * 96), 100))]).toEqual(first.slice(1, 5));
    expect([...(await one.search(queries.slice(96, 2 * 96), 100))]).toEqual(first.slice(1, 2));
  });

  it('searches more queries than one product takes', async () => {
    const index = await open(memory(300, 16));
    const queries = normals(1100 * 16, 3);
    const all = [...(await index.search(queries, 5))];
    expect(all).toHaveLength(1100);
    expect([...(await index.search(queries.slice(1050 * 16, 1060 * 16), 5))]).toEqual(all.slice(1050, 1060));
  });

  it('searches more queries than one pass over the corpus takes', async () => {
    // The hits of the one document take 8 * 258 bytes a query: room for three and a half.
    const index = await open(new MemoryVectors(['a'], Float32Array.of(2), 1), { hitBytes: 3.5 * 8 * 258 });
    const passes: number[] = [];
    const queries = Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7);
    const dropSelf = Array.from(queries, (at) => (at === 4 ? 'a' : undefined));
    const found = await index.search(queries, 1, { dropSelf, onQueries: (searched) => passes.push(searched) });
    expect(passes).toEqual([3, 3, 2]);
    const scores = [...found].map((hits) => hits.map(({ score }) => score));
    expect(scores).toEqual([[0], [2], [4], [6], [], [10], [12], [14]]);
  });

  it('orders 9,000 identical vectors by id, and the others around them', async () => {
    const rows = 9001;
    const vectors = new Float32Array(rows * 32);
    const one = normals(32, 4);
    for (let row = 0; row < rows; row++) vectors.set(one, row * 32);
    vectors.set(
      one.map((value) => 2 * value),
      4500 * 32,
    );
    const names = numbered(rows);
    const index = await open(new MemoryVectors(names, vectors, 32));
    const [hits] = await index.search(one, 10);
    const others = names.filter((name) => name !== 'd4500').sort();
    expect(ids(hits!)).toEqual(['d4500', ...others.reverse().slice(0, 9)]);
    expect(new Set(hits!.slice(1).map(({ score }) => score)).size).toBe(1);
    const [mixed, again] = await index.search(Float32Array.from([...normals(32, 5), ...one]), 10);
    expect(mixed).toHaveLength(10);
    expect(again).toEqual(hits);
  });

  it('gives 0 for a vector of zeros under cosine, and for a query of zeros', async () => {
    const source = new MemoryVectors(['a', 'b', 'c'], Float32Array.of(-1, 0, 0, 0, 3, 0), 2);
    const index = await open(source, { similarity: 'cosine' });
    const [hits, none] = await index.search(Float32Array.of(2, 0, 0, 0), 3);
    expect(hits).toEqual([
      { id: 'c', score: 1 },
      { id: 'b', score: 0 },
      { id: 'a', score: -1 },
    ]);
    expect(none).toEqual(['c', 'b', 'a'].map((id) => ({ id, score: 0 })));
  });

  it('drops the document that is the query itself, and still gives k others', async () => {
    const source = memory(50, 8);
    const index = await open(source);
    const own = normals(50 * 8, 1).slice(7 * 8, 8 * 8);
    const [all] = await index.search(own, 6);
    const [rest] = await index.search(own, 5, { dropSelf: ['d7'] });
    expect(rest).toEqual(all!.filter(({ id }) => id !== 'd7').slice(0, 5));
    expect([...(await index.search(own, 5, { dropSelf: ['no document'] }))][0]).toEqual(all!.slice(0, 5));
  });

  it('gives all documents of a corpus smaller than k, and none of an empty one', async () => {
    expect([...(await (await open(memory(3, 4))).search(normals(4, 6), 1000))][0]).toHaveLength(3);
    const empty = await open(new MemoryVectors([], new Float32Array(0), 4));
    expect([...(await empty.search(normals(8, 6), 10))]).toEqual([[], []]);
    expect([...(await (await open(memory(3, 4))).search(new Float32Array(0), 10))]).toEqual([]);
  });

  it('keeps simultaneous searches apart', async () => {
    const index = await open(memory(500, 8));
    const [queries, others] = [normals(80, 7), normals(40, 8)];
    const [one, other] = await Promise.all([index.search(queries, 5), index.search(others, 3)]);
    expect([...(await index.search(queries, 5))]).toEqual([...one]);
    expect([...(await index.search(others, 3))]).toEqual([...other]);
  });
});

describe('exact search over a source that is read in chunks', () => {
  it('reads a small corpus once and a large one each time', async () => {
    const source = new WatchedVectors(memory(9000, 8), (chunk) => chunk);
    const resident = await open(source);
    await resident.search(normals(8, 1), 5);
    await resident.search(normals(8, 2), 5);
    expect(source.passes).toBe(1);
    const streaming = await open(source, { residentBytes: 1000 });
    await streaming.search(normals(8, 1), 5);
    await streaming.search(normals(8, 2), 5);
    expect(source.passes).toBe(3);
  });

  it('never holds more than a few chunks', async () => {
    const rows = 300_000;
    const dimensions = 256;
    let most = 0;
    const blank: VectorSource = {
      rows,
      dimensions,
      id: String,
      async *chunks(size) {
        for (let start = 0; start < rows; start += size) {
          most = Math.max(most, process.memoryUsage().arrayBuffers);
          yield { start, vectors: new Float32Array(Math.min(size, rows - start) * dimensions).fill(start) };
        }
      },
    };
    const index = await open(blank, { residentBytes: 0 });
    const before = process.memoryUsage().arrayBuffers;
    const [hits] = await index.search(new Float32Array(dimensions).fill(1), 3);
    expect(ids(hits!)).toEqual(['299999', '299998', '299997']);
    // 307 MB in all, 4 MB a chunk; the garbage collector lets some 64 MB lie.
    expect(most - before).toBeLessThan((rows * dimensions * 4) / 2);
  });

  it('accepts chunks that are views of a larger buffer', async () => {
    const whole = memory(9000, 8);
    const views = new WatchedVectors(whole, ({ start, vectors }) => {
      const larger = new Float32Array(vectors.length + 16);
      larger.set(vectors, 8);
      return { start, vectors: larger.subarray(8, 8 + vectors.length) };
    });
    const queries = normals(24, 9);
    expect([...(await (await open(views)).search(queries, 7))]).toEqual([
      ...(await (await open(whole)).search(queries, 7)),
    ]);
  });

  it.each([
    ['ends too early', ({ start, vectors }: VectorChunk) => (start > 0 ? undefined : { start, vectors })],
    ['leaves rows out', ({ start, vectors }: VectorChunk) => (start === 4096 ? undefined : { start, vectors })],
    [
      'gives too many rows',
      ({ start, vectors }: VectorChunk) => ({ start, vectors: new Float32Array(vectors.length * 4) }),
    ],
    ['gives part of a row', ({ start, vectors }: VectorChunk) => ({ start, vectors: vectors.slice(1) })],
  ])('refuses one that %s', async (_what, change) => {
    const index = await open(new WatchedVectors(memory(9000, 8), change));
    await expect(index.search(normals(8, 1), 5)).rejects.toThrow(DataError);
  });

  it('stops while the source hangs, and searches again afterwards', async () => {
    let hang = true;
    const source = new WatchedVectors(memory(9000, 8), (chunk) => (hang ? new Promise(() => {}) : chunk));
    const index = await open(source);
    const controller = new AbortController();
    const search = index.search(normals(8, 1), 5, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await expect(search).rejects.toThrow(AbortedError);
    hang = false;
    expect([...(await index.search(normals(8, 1), 5))][0]).toHaveLength(5);
  });

  it('stops while it computes, long before the last of 25 chunks', async () => {
    const controller = new AbortController();
    let read = 0;
    const source = new WatchedVectors(memory(100_000, 16), (chunk) => {
      if (++read === 6) controller.abort();
      return chunk;
    });
    const index = await open(source);
    await expect(index.search(normals(500 * 16, 1), 100, { signal: controller.signal })).rejects.toThrow(AbortedError);
    expect(read).toBeLessThan(10);
  });
});

describe('exact search refuses', () => {
  const spoiled = (value: number) => {
    const vectors = normals(5000 * 8, 1);
    vectors[4321 * 8 + 3] = value;
    return new MemoryVectors(numbered(5000), vectors, 8);
  };

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('a document vector with %s, naming the document', async (value) => {
    for (const similarity of ['dot', 'cosine'] as const) {
      const index = await open(spoiled(value), { similarity });
      const search = index.search(normals(16, 2), 5);
      await expect(search).rejects.toThrow(DataError);
      await expect(search).rejects.toMatchObject({ id: 'd4321' });
    }
  });

  it('a query vector that begins with NaN, by its place if it has no id', async () => {
    const index = await open(memory(10, 4));
    const search = index.search(Float32Array.of(Number.NaN, 1, 1, 1), 5);
    await expect(search).rejects.toThrow(DataError);
    await expect(search).rejects.toThrow(/query 0/);
  });

  it('a query vector with NaN, naming the query', async () => {
    const index = await open(memory(10, 4));
    const search = index.search(Float32Array.of(1, 1, 1, 1, 0, Number.NaN, 0, 0), 5, { dropSelf: ['q1', 'q2'] });
    await expect(search).rejects.toThrow(DataError);
    await expect(search).rejects.toMatchObject({ id: 'q2' });
  });

  it('queries of other dimensions', async () => {
    const index = await open(memory(10, 4));
    await expect(index.search(normals(6, 1), 5)).rejects.toThrow(DataError);
    await expect(index.search(normals(8, 1), 5, { dropSelf: ['q'] })).rejects.toThrow(DataError);
  });

  it('a number of vectors that differs from that of the ids', () => {
    expect(() => new MemoryVectors(['a'], new Float32Array(5), 4)).toThrow(DataError);
    expect(() => new MemoryVectors([], new Float32Array(0), 0)).toThrow(DataError);
  });

  it('an invalid k and an invalid number of threads', async () => {
    const index = await open(memory(10, 4));
    for (const k of [0, -1, 1.5, Number.NaN]) await expect(index.search(normals(4, 1), k)).rejects.toThrow(UsageError);
    for (const threads of [0, 1.5])
      await expect(ExactIndex.open(memory(1, 1), { threads })).rejects.toThrow(UsageError);
  });

  it('to begin when already stopped', async () => {
    const index = await open(memory(10, 4));
    await expect(index.search(normals(4, 1), 5, { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
  });
});
