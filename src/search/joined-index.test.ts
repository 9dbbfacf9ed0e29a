import { expect, it } from 'vitest';
import { Random } from '../system/index.ts';
import { ExactIndex } from './dense/exact-index.ts';
import { MemoryVectors } from './dense/vector-source.ts';
import { JoinedIndex } from './joined-index.ts';

const open = (ids: string[], vectors: number[]) =>
  ExactIndex.open(new MemoryVectors(ids, Float32Array.from(vectors), 2), { threads: 1 });

it('ranks what several parts find as one index does, without what was deleted from a part', async () => {
  const random = new Random(3);
  // Whole numbers make many ties.
  const vectorOf = () => [random.below(5), random.below(5)];
  const [ids, vectors] = [Array.from({ length: 30 }, (_none, at) => `d${at}`), [] as number[][]];
  for (const _id of ids) vectors.push(vectorOf());
  const whole = await open(ids, vectors.flat());
  // d0 to d4 were in the first part, with other vectors, and are in the second one now.
  const first = await open(
    [...ids.slice(0, 5), ...ids.slice(5, 12)],
    [...Array.from({ length: 5 }, () => [9, 9]).flat(), ...vectors.slice(5, 12).flat()],
  );
  const second = await open(
    [...ids.slice(12), ...ids.slice(0, 5)],
    [...vectors.slice(12), ...vectors.slice(0, 5)].flat(),
  );
  const deleted = new Set(ids.slice(0, 5));
  const joined = new JoinedIndex(
    [
      { index: first, deleted },
      { index: second, deleted: new Set() },
    ],
    2,
  );
  expect(joined.size).toBe(30);
  const queries = Float32Array.from({ length: 20 }, () => random.below(4));
  const dropSelf = Array.from({ length: 10 }, (_none, at) => (at % 2 === 0 ? `d${at}` : undefined));
  for (const k of [1, 3, 29, 100]) {
    for (const options of [{}, { dropSelf }]) {
      expect([...(await joined.search(queries, k, options))]).toEqual([...(await whole.search(queries, k, options))]);
    }
  }
  await joined.close();
  await whole.close();
});
