import { expect, test } from 'vitest';
import { Random } from '../../system/index.ts';
import { type PromptedText, packedLength, packTexts } from './packing.ts';

const text = (prompt: number[], ...completions: number[][]): PromptedText => ({
  prompt: Int32Array.from(prompt),
  completions: completions.map((ids) => Int32Array.from(ids)),
});

test('a prompt occurs once, followed by its completions without their last tokens', () => {
  const { values, completions, places } = packTexts([text([1, 2, 3], [4, 5], [6, 7, 8])], 100);
  expect([...values.tokens!.data]).toEqual([1, 2, 3, 4, 6, 7]);
  expect([...values.positions!.data]).toEqual([0, 1, 2, 3, 3, 4]);
  expect([...values.branch!.data]).toEqual([0, 0, 0, 1, 2, 2]);
  expect([...values.text!.data]).toEqual([0, 0, 0, 0, 0, 0]);
  expect(values.tokens!.shape).toEqual([1, 6]);
  expect([...values.scored!.data]).toEqual([2, 3, 2, 4, 5]);
  expect([...values.targets!.data]).toEqual([4, 5, 6, 7, 8]);
  expect(completions).toEqual([
    [
      { start: 0, length: 2 },
      { start: 2, length: 3 },
    ],
  ]);
  expect(places).toBe(5);
});

test('several texts share a row; the rest belongs to no text', () => {
  const texts = [text([1], [2, 3, 4, 5]), text([6, 7], [8]), text([9], [10, 11])];
  const { values } = packTexts(texts, 100);
  expect(values.tokens!.shape).toEqual([2, 4]);
  expect([...values.text!.data]).toEqual([0, 0, 0, 0, 1, 1, 2, 2]);
  expect([...values.tokens!.data]).toEqual([1, 2, 3, 4, 6, 7, 9, 10]);
  const odd = packTexts([text([1, 2], [3, 4]), text([5], [6, 7])], 100);
  expect(odd.values.tokens!.shape).toEqual([1, 5]);
  const alone = packTexts([text(Array(2000).fill(1), [2, 3]), text([5], [6, 7])], 100);
  expect(alone.values.tokens!.shape).toEqual([1, 2003]);
});

test('chunks are of equal size and bounded by the vocabulary', () => {
  const long = text([1], Array(1000).fill(2));
  const sizes = (vocabulary: number) => packTexts([long], vocabulary).values.scored!.shape;
  expect(sizes(1000)).toEqual([1, 1000]);
  expect(sizes(128_000)).toEqual([8, 125]);
  expect(sizes(49_152)).toEqual([3, 334]);
  const { values, places } = packTexts([long], 49_152);
  expect(places).toBe(1002);
  expect([...values.scored!.data.slice(999)]).toEqual([999, 0, 0]);
});

test('for any lengths, every token occurs once, and little of the rows is padding', () => {
  const random = new Random(5);
  const ids = (length: number) => Array.from({ length }, () => 1 + random.below(90));
  for (let round = 0; round < 50; round++) {
    const texts = Array.from({ length: 1 + random.below(20) }, () =>
      text(ids(1 + random.below(30)), ids(1 + random.below(60)), ids(1 + random.below(60))),
    );
    const { values, completions } = packTexts(texts, 96);
    const total = texts.reduce((sum, one) => sum + packedLength(one), 0);
    const owners = [...(values.text!.data as Int32Array)];
    expect(owners.filter((owner) => owner !== -1).length).toBe(total);
    for (const [index, one] of texts.entries()) {
      const own = owners.flatMap((owner, at) => (owner === index ? [values.tokens!.data[at]] : []));
      expect(own).toEqual([...one.prompt, ...one.completions.flatMap((part) => [...part.subarray(0, -1)])]);
      for (const [completion, { start, length }] of completions[index]!.entries()) {
        const targets = values.targets!.data.slice(start, start + length);
        expect([...targets]).toEqual([...one.completions[completion]!]);
      }
    }
    if (texts.length >= 10) expect(total / owners.length).toBeGreaterThan(0.8);
  }
});
