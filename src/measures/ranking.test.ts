import { describe, expect, it } from 'vitest';
import { DataError, Random } from '../system/index.ts';
import { compareDocumentIds, orderByComparing, rankHits, rankOrder } from './ranking.ts';

const ids = (hits: { id: string }[]) => hits.map(({ id }) => id);

describe('compareDocumentIds orders as the bytes of UTF-8', () => {
  const words = [
    '',
    'a',
    'ab',
    'b',
    'z',
    '\u00e9',
    '\u6f22',
    '\ud7ff',
    '\ue000',
    '\uff5a',
    '\uffff',
    '\u{10348}',
    '\u{1f600}',
    '\u{1f601}a',
  ];
  it.each(words)('%j', (left) => {
    for (const right of words) {
      expect(Math.sign(compareDocumentIds(left, right))).toBe(Buffer.compare(Buffer.from(left), Buffer.from(right)));
    }
  });
});

describe('rankHits', () => {
  it('orders by 32-bit score and then by id, descending', () => {
    const hits = [
      { id: 'a', score: 1.00000001 },
      { id: 'c', score: 1 },
      { id: 'b', score: 1 },
      { id: 'z', score: -0 },
      { id: 'zz', score: 0 },
      { id: 'x', score: -2 },
      { id: 'y', score: 7 },
    ];
    expect(ids(rankHits(hits))).toEqual(['y', 'c', 'b', 'a', 'zz', 'z', 'x']);
    expect(ids(hits)[0]).toBe('a');
  });

  it('equals sorting by definition on random hits', () => {
    const random = new Random(9);
    for (let round = 0; round < 200; round++) {
      const hits = Array.from({ length: random.below(60) }, (_, place) => ({
        id: `d${place}`,
        score: [random.normal() * 1e3, random.below(3) - 1, random.normal() * 1e-40, Number.POSITIVE_INFINITY][
          random.below(4)
        ]!,
      }));
      const defined = [...hits].sort((a, b) => {
        const [left, right] = [Math.fround(a.score), Math.fround(b.score)];
        return left === right ? compareDocumentIds(b.id, a.id) : right > left ? 1 : -1;
      });
      expect(rankHits(hits)).toEqual(defined);
      expect(rankHits(defined)).toEqual(defined);
    }
  });

  it('orders very many hits, which cannot be packed, in the same way', () => {
    const random = new Random(4);
    const hits = Array.from({ length: 300 }, (_none, at) => ({
      id: `d${(at * 7) % 300}`,
      score: random.below(20) - 10,
    }));
    hits.push({ id: 'x', score: -0 }, { id: 'y', score: Number.POSITIVE_INFINITY });
    expect([...orderByComparing(hits)]).toEqual([...rankOrder(hits)!]);
  });

  it('treats -0 as 0, and breaks the tie by id', () => {
    const hits = [
      { id: 'a', score: 0 },
      { id: 'b', score: -0 },
      { id: 'c', score: -1 },
    ];
    expect(ids(rankHits(hits))).toEqual(['b', 'a', 'c']);
  });

  it('returns a new array, and reports hits that are already in order', () => {
    const ranked = [
      { id: 'b', score: 1 },
      { id: 'a', score: 1 },
    ];
    expect(rankHits(ranked)).toEqual(ranked);
    expect(rankHits(ranked)).not.toBe(ranked);
    expect(rankOrder(ranked)).toBeUndefined();
    expect([...rankOrder([ranked[1]!, ranked[0]!])!]).toEqual([1, 0]);
    expect(rankOrder([{ id: 'a', score: Number.POSITIVE_INFINITY }])).toBeUndefined();
  });

  it('treats scores beyond 32 bits as infinite, as C does', () => {
    const hits = [
      { id: 'a', score: 1e39 },
      { id: 'b', score: 1e300 },
      { id: 'c', score: -1e39 },
    ];
    expect(ids(rankHits(hits))).toEqual(['b', 'a', 'c']);
  });

  it('refuses NaN', () => {
    expect(() => rankHits([{ id: 'a', score: Number.NaN }])).toThrow(DataError);
  });
});
