import { describe, expect, it } from 'vitest';
import type { ScoreReply, ScoreRequest, ThreadHits } from './score-protocol.ts';
import { dotProductModel } from './score-threads.ts';
import { serve } from './score-worker.ts';

/** What the worker threads of exact search do, asked here without a thread. */
async function open({ cosine = false, isStopped = false } = {}) {
  const service = await serve({ model: dotProductModel(2), dimensions: 2, cosine }, () => isStopped);
  const ask = async (request: ScoreRequest): Promise<ScoreReply> => (await service.answer(request)).value;
  return {
    service,
    ask,
    queries: (k: number, vectors: number[], places?: number[]) =>
      ask({ kind: 'queries', queries: Float32Array.from(vectors), k, places: places && Uint32Array.from(places) }),
    chunk: (start: number, vectors: number[], keep = false) =>
      ask({ kind: 'chunk', start, vectors: Float32Array.from(vectors), keep }),
    async take(): Promise<ThreadHits> {
      const reply = await ask({ kind: 'take' });
      if (reply.kind !== 'hits') throw new Error(reply.kind);
      return reply.hits;
    },
  };
}

/** Scores and rows of each query. */
function listed({ scores, numbers, counts }: ThreadHits): [score: number, row: number][][] {
  let at = 0;
  return [...counts].map((count) =>
    Array.from({ length: count }, () => {
      const hit: [number, number] = [scores[at]!, numbers[at]!];
      at++;
      return hit;
    }),
  );
}

describe('a scoring thread', () => {
  it('gives the best rows of several chunks, query by query', async () => {
    const { queries, chunk, take, service } = await open();
    await queries(2, [1, 0, 0, 1, -1, 0]);
    await chunk(0, [3, 4, 4, 0]);
    await chunk(2, [12, 5]);
    // First coordinate, second coordinate, minus the first.
    const hits = await take();
    expect(listed(hits)).toEqual([
      [
        [12, 2],
        [4, 1],
      ],
      [
        [5, 2],
        [4, 0],
      ],
      [
        [-3, 0],
        [-4, 1],
      ],
    ]);
    expect([...hits.overflowed]).toEqual([0, 0, 0]);
    // New queries begin without the hits of the last.
    await queries(3, [1, 0]);
    await chunk(5, [1, 1]);
    expect(listed(await take())).toEqual([[[1, 5]]]);
    await service.end?.();
  });

  it('gives rows the length 1 under cosine; a row of zeros scores 0', async () => {
    const { queries, chunk, take } = await open({ cosine: true });
    await queries(4, [1, 0]);
    await chunk(0, [3, 4, 0, 0, 12, 5, -8, 6]);
    const [hits] = listed(await take());
    expect(hits!.map(([, row]) => row)).toEqual([2, 0, 1, 3]);
    for (const [at, score] of [12 / 13, 3 / 5, 0, -8 / 10].entries()) expect(hits![at]![0]).toBeCloseTo(score, 6);
  });

  it('searches again what it keeps, and nothing else', async () => {
    const { ask, queries, chunk, take } = await open();
    await queries(9, [1, 0]);
    await chunk(0, [1, 0], true);
    await chunk(1, [2, 0]);
    await chunk(2, [3, 0], true);
    await take();
    await queries(9, [10, 0]);
    expect(await ask({ kind: 'kept' })).toEqual({ kind: 'done' });
    expect(listed(await take())).toEqual([
      [
        [30, 2],
        [10, 0],
      ],
    ]);
  });

  it('breaks ties by the places given with the queries, or keeps as many as fit', async () => {
    const { queries, chunk, take } = await open();
    const rows = 2000;
    const ones = Array.from({ length: 2 * rows }, () => 1);
    const places = Array.from({ length: rows }, (_none, row) => rows - 1 - row);
    await queries(3, [1, 0], places);
    await chunk(0, ones);
    expect(listed(await take())).toEqual([
      [
        [1, 0],
        [1, 1],
        [1, 2],
      ],
    ]);
    await queries(3, [1, 0, 1, 0]);
    await chunk(0, ones.slice(0, 20));
    const kept = await take();
    expect([...kept.counts]).toEqual([10, 10]);
    expect([...kept.overflowed]).toEqual([0, 0]);
    await queries(3, [1, 0]);
    await chunk(0, ones);
    expect([...(await take()).overflowed]).toEqual([1]);
  });

  it('takes more queries than one product holds', async () => {
    const { queries, chunk, take } = await open();
    const count = 1025;
    await queries(
      1,
      Array.from({ length: 2 * count }, (_none, at) => (at % 2 === 0 ? at / 2 : 0)),
    );
    await chunk(7, [1, 0, 2, 0]);
    const hits = listed(await take());
    expect(hits).toHaveLength(count);
    // Query n is (n, 0): row 8 gives 2n; query 0 ties, and has both.
    expect(hits[0]).toHaveLength(2);
    for (const at of [1, 511, 512, 513, 1023, 1024]) expect(hits[at]).toEqual([[2 * at, 8]]);
  });

  it.each([
    { what: 'not finite', cosine: false, row: [Number.NaN, 0] },
    { what: 'not finite, under cosine', cosine: true, row: [Number.POSITIVE_INFINITY, 0] },
  ])('names a row that is $what', async ({ cosine, row }) => {
    const { queries, chunk } = await open({ cosine });
    await queries(1, [1, 1]);
    expect(await chunk(40, [1, 1, ...row])).toEqual({ kind: 'broken-row', row: 41 });
  });

  it('ends when it is stopped, and reports what failed', async () => {
    const stopped = await open({ isStopped: true });
    await stopped.queries(1, [1, 1]);
    expect(await stopped.chunk(0, [1, 1])).toEqual({ kind: 'stopped' });
    const failing = await open();
    await failing.queries(1, [1, 1]);
    await failing.service.end?.();
    expect(await failing.chunk(0, [1, 1])).toMatchObject({ kind: 'failed', reason: expect.any(String) });
  });

  it('hands its hits over, and nothing else', async () => {
    const { service, queries, chunk } = await open();
    await queries(1, [1, 0]);
    await chunk(0, [1, 0]);
    const { value, transfer } = await service.answer({ kind: 'take' });
    const { hits } = value as Extract<ScoreReply, { kind: 'hits' }>;
    expect(new Set(transfer)).toEqual(new Set(Object.values(hits).map((array) => array.buffer)));
    expect((await service.answer({ kind: 'kept' })).transfer).toBeUndefined();
  });
});
