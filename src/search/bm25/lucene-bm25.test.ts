import { describe, expect, it } from 'vitest';
import { lossyLength } from './lucene-bm25.ts';

describe("Lucene's lengths in one byte", () => {
  it('are exact up to 39, then grow coarser', () => {
    for (let length = 0; length < 40; length++) expect(lossyLength(length)).toBe(length);
    // SmallFloat.byte4ToInt(SmallFloat.intToByte4(length)) of Lucene 9
    const pairs = [
      [40, 40],
      [41, 40],
      [42, 42],
      [55, 54],
      [57, 56],
      [100, 96],
      [1000, 984],
      [1_000_000, 983_064],
    ];
    for (const [length, kept] of pairs) expect(lossyLength(length!)).toBe(kept);
  });

  it('take 256 values at most', () => {
    const values = new Set<number>();
    for (let length = 0; length < 2 ** 31; length = Math.ceil(length * 1.01) + 1) values.add(lossyLength(length));
    expect(values.size).toBeLessThanOrEqual(256);
  });
});
