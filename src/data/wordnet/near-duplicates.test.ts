import { expect, it } from 'vitest';
import { Random } from '../../system/index.ts';
import { findNearDuplicates } from './near-duplicates.ts';

function similarity(a: string[], b: string[]): number {
  const [x, y] = [new Set(a), new Set(b)];
  const shared = [...x].filter((word) => y.has(word)).length;
  return shared / (x.size + y.size - shared);
}

/** The expected result, computed by comparing all pairs. */
function compareAll(texts: string[][], threshold: number): Map<number, number> {
  const repeats = new Map<number, number>();
  for (let current = 0; current < texts.length; current++) {
    for (let earlier = 0; earlier < current; earlier++) {
      if (repeats.has(earlier) || similarity(texts[current]!, texts[earlier]!) < threshold) continue;
      repeats.set(current, earlier);
      break;
    }
  }
  return repeats;
}

it.each([0.5, 0.75, 0.85, 1])('finds the same at threshold %f as comparing all pairs', (threshold) => {
  const random = new Random(5);
  const words = 'abcdefghijkl'.split('');
  const texts = Array.from({ length: 400 }, () =>
    Array.from({ length: 1 + random.below(9) }, () => words[random.below(words.length)]!),
  );
  const expected = compareAll(texts, threshold);
  expect(expected.size).toBeGreaterThan(20);
  expect(findNearDuplicates(texts, threshold)).toEqual(expected);
});
