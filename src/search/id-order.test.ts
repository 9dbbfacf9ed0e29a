import { expect, it } from 'vitest';
import { compareDocumentIds } from '../measures/index.ts';
import { AbortedError, Random } from '../system/index.ts';
import { orderByIdDescending } from './id-order.ts';

/** Blocks of 8,192 rows are sorted, then merged two by two: the sizes lie around one, two and more of them. */
it.each([0, 1, 2, 100, 8191, 8192, 8193, 16_385, 20_000, 40_000])('%i ids are ordered descending', async (count) => {
  const random = new Random(count);
  const ids = random.shuffle(Array.from({ length: count }, (_none, at) => `d${at}`));
  const wanted = [...ids.keys()].sort((a, b) => compareDocumentIds(ids[b]!, ids[a]!));
  expect(Array.from(await orderByIdDescending(ids))).toEqual(wanted);
});

it('the order of ids can be aborted', async () => {
  const ids = Array.from({ length: 400_000 }, (_none, at) => `d${(at * 7919) % 400_000}`);
  await expect(orderByIdDescending(ids, AbortSignal.timeout(1))).rejects.toBeInstanceOf(AbortedError);
});
