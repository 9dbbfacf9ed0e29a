import { expect, test } from 'vitest';
import { LatestOnly } from './latest-only.ts';

test('while a value is on its way, only the newest waits', async () => {
  const sent: number[] = [];
  let arrive = (): void => {};
  const values = new LatestOnly<number>((value) => {
    sent.push(value);
    return new Promise((resolve) => {
      arrive = resolve;
    });
  });
  for (const value of [1, 2, 3]) values.push(value);
  arrive();
  await expect.poll(() => sent).toEqual([1, 3]);
  const ended = values.end();
  arrive();
  await ended;
  values.push(4);
  expect(sent).toEqual([1, 3, 4]);
});
