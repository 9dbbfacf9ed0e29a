import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CountingProgress } from '../../../test/support/counting-progress.ts';
import { AbortedError, DataError, Random } from '../../system/index.ts';
import { ExactIndex } from '../dense/exact-index.ts';
import { MemoryVectors } from '../dense/vector-source.ts';
import { HnswIndex, type HnswOptions } from './hnsw-index.ts';

const folder = await mkdtemp(join(tmpdir(), 'hnsw-'));
afterAll(() => rm(folder, { recursive: true }));

const DIMENSIONS = 8;

function normals(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.normal());
}

function memory(rows: number, vectors = normals(rows * DIMENSIONS, 1)): MemoryVectors {
  return new MemoryVectors(
    Array.from({ length: rows }, (_none, row) => `d${row}`),
    vectors,
    DIMENSIONS,
  );
}

function open(source: MemoryVectors, key: string, options: Partial<HnswOptions> = {}): Promise<HnswIndex> {
  const hnsw = { m: 8, efConstruction: 64, ef: 64 };
  return HnswIndex.open(source, { folder, key, similarity: 'dot', format: 'f32', hnsw, threads: 1, ...options });
}

/** Counts documents that were added and that were there, and stops a build after some. */
function counting(stopAfter = Number.POSITIVE_INFINITY) {
  const counts = new CountingProgress();
  const controller = new AbortController();
  counts.onDone = () => {
    if (counts.done >= stopAfter) controller.abort();
  };
  return { counts, options: { progress: counts, signal: controller.signal } };
}

const files = async () => (await readdir(folder)).filter((name) => /usearch$/.test(name)).sort();

describe('an HNSW graph', () => {
  it.each(['dot', 'cosine'] as const)(
    'finds nearly what exact search finds, with its scores (%s)',
    async (similarity) => {
      const source = memory(1500);
      const queries = normals(70 * DIMENSIONS, 2);
      const dropSelf = Array.from({ length: 70 }, (_none, row) => `d${row}`);
      const graph = await open(source, 'near', { similarity });
      const exact = await ExactIndex.open(source, { similarity, threads: 1 });
      const expected = [...(await exact.search(queries, 10, { dropSelf }))];
      const found = [...(await graph.search(queries, 10, { dropSelf }))];
      expect(found).toHaveLength(70);
      let shared = 0;
      for (const [row, hits] of found.entries()) {
        expect(hits).toHaveLength(10);
        expect(hits.some(({ id }) => id === `d${row}`)).toBe(false);
        const wanted = new Map(expected[row]!.map(({ id, score }) => [id, score]));
        for (const { id, score } of hits.filter((hit) => wanted.has(hit.id))) {
          shared++;
          expect(score).toBeCloseTo(wanted.get(id)!, 5);
        }
      }
      expect(shared / 700).toBeGreaterThan(0.95);
      // One query alone, and more documents than there are.
      const [one] = await graph.search(queries.slice(0, DIMENSIONS), 2000);
      expect(one!.length).toBeGreaterThan(1400);
      await Promise.all([graph.close(), exact.close()]);
    },
  );

  it('is built once, again if its file is damaged, and apart for other settings', async () => {
    const source = memory(200);
    const first = counting();
    await (await open(source, 'once', first.options)).close();
    expect(first.counts).toMatchObject({ done: 200, skipped: 0 });
    const second = counting();
    await (await open(source, 'once', second.options)).close();
    expect(second.counts.done).toBe(0);
    const before = await files();
    const hnsw = { m: 4, efConstruction: 64, ef: 64 };
    for (const other of [{ hnsw }, { format: 'f16' as const }, { similarity: 'cosine' as const }]) {
      await (await open(source, 'once', other)).close();
    }
    // Another ef searches the same graph.
    await (await open(source, 'once', { hnsw: { m: 8, efConstruction: 64, ef: 9 } })).close();
    expect(await files()).toHaveLength(before.length + 3);
    for (const name of await files()) await truncate(join(folder, name), 100);
    const third = counting();
    await (await open(source, 'once', third.options)).close();
    expect(third.counts.done).toBe(200);
  });

  it('goes on from what was stored last, and leaves nothing else behind', async () => {
    const vectors = normals(3000 * DIMENSIONS, 1);
    const [source, cosine] = [memory(3000, vectors), { similarity: 'cosine' as const }];
    const before = await files();
    const stopped = counting(2048);
    await expect(open(source, 'stopped', { ...cosine, ...stopped.options, saveSeconds: 0 })).rejects.toThrow(
      AbortedError,
    );
    const left = (await files()).filter((name) => !before.includes(name));
    expect(left).toEqual([expect.stringMatching(/^unfinished-[0-9a-f]{32}\.usearch$/)]);
    const resumed = counting();
    const graph = await open(source, 'stopped', { ...cosine, ...resumed.options });
    expect(resumed.counts).toMatchObject({ done: 3000 - 2048, skipped: 2048 });
    const made = (await files()).filter((name) => !before.includes(name));
    expect(made).toEqual([expect.stringMatching(/^[0-9a-f]{32}\.usearch$/)]);
    // The documents of both parts are found by their own vectors.
    const firsts = [...(await graph.search(vectors, 1))].map(([first]) => first?.id);
    for (const part of [firsts.slice(0, 2048), firsts.slice(2048)]) {
      const start = part.length === 2048 ? 0 : 2048;
      expect(part.filter((id, row) => id === `d${start + row}`).length / part.length).toBeGreaterThan(0.95);
    }
    await graph.close();
  });

  it('begins anew where the stored beginning is damaged', async () => {
    const source = memory(3000);
    const before = await files();
    await expect(open(source, 'broken', { ...counting(1024).options, saveSeconds: 0 })).rejects.toThrow(AbortedError);
    const [unfinished] = (await files()).filter((name) => !before.includes(name));
    await truncate(join(folder, unfinished!), 3000);
    const again = counting();
    await (await open(source, 'broken', again.options)).close();
    expect(again.counts).toMatchObject({ done: 3000, skipped: 0 });
  });

  it('refuses a vector that is not finite, naming the document', async () => {
    const vectors = normals(20 * DIMENSIONS, 3);
    vectors[13 * DIMENSIONS + 2] = Number.NaN;
    await expect(open(memory(20, vectors), 'nan')).rejects.toMatchObject({ id: 'd13', constructor: DataError });
  });
});
