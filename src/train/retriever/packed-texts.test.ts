import { expect, test } from 'vitest';
import { packedInputs, packTexts, textsOfBatch } from './packed-texts.ts';

const LENGTHS = [3, 8, 2, 5, 6, 1];

test('texts are packed the longest first, into the first row where they fit', () => {
  expect(packTexts(LENGTHS, {})).toEqual([{ length: 8, rows: [[1], [4, 2], [3, 0], [5]] }]);
  expect(packTexts([], {})).toEqual([]);
});

test.each([
  { miniBatchSize: 2 },
  { miniBatchTokens: 9 },
  { miniBatchSize: 3, miniBatchTokens: 16 },
  { miniBatchTokens: 1 },
])('batches keep within %o, and hold each text once', (limits) => {
  const batches = packTexts(LENGTHS, limits);
  expect(batches.flatMap(textsOfBatch).sort()).toEqual([0, 1, 2, 3, 4, 5]);
  for (const { length, rows } of batches) {
    const texts = rows.flat();
    expect(rows.every((row) => row.reduce((sum, text) => sum + LENGTHS[text]!, 0) <= length)).toBe(true);
    expect(texts.length).toBeLessThanOrEqual(limits.miniBatchSize ?? 6);
    // A text longer than the limit stands alone.
    if (texts.length > 1) expect(rows.length * length).toBeLessThanOrEqual(limits.miniBatchTokens ?? 99);
  }
});

test('inputs say of each token its text, its place in it, and its share of the vector', () => {
  const texts = [Int32Array.of(7, 8), Int32Array.of(1, 2, 3, 4), Int32Array.of(9)];
  const batch = { length: 4, rows: [[1], [0, 2]] };
  const { values, places } = packedInputs(texts, batch, { padId: 5, pooling: 'mean' });
  const { ids, positions, text, pool, places: order } = values;
  expect([...ids!.data]).toEqual([1, 2, 3, 4, 7, 8, 9, 5]);
  expect([...positions!.data]).toEqual([0, 1, 2, 3, 0, 1, 0, 0]);
  expect([...text!.data]).toEqual([0, 0, 0, 0, 0, 0, 1, -1]);
  expect(pool!.shape).toEqual([2, 2, 4]);
  expect([...pool!.data]).toEqual(
    [
      [0.25, 0.25, 0.25, 0.25],
      [0, 0, 0, 0],
      [0.5, 0.5, 0, 0],
      [0, 0, 1, 0],
    ].flat(),
  );
  expect([...order!.data]).toEqual([2, 0, 3]);
  expect(places).toEqual([
    { number: 1, start: 0, length: 4 },
    { number: 0, start: 4, length: 2 },
    { number: 2, start: 6, length: 1 },
  ]);
  const first = packedInputs(texts, batch, { padId: 5, pooling: 'cls' }).values.pool!.data;
  expect([...first]).toEqual(
    [
      [1, 0, 0, 0],
      [0, 0, 0, 0],
      [1, 0, 0, 0],
      [0, 0, 1, 0],
    ].flat(),
  );
});
