import { describe, expect, it } from 'vitest';
import { Random } from '../../system/index.ts';
import { TopScores } from '../top-scores.ts';
import { Bm25Scorer } from './bm25-scorer.ts';
import { makePostings, postingLayout, saturationOf, setPosting } from './postings.ts';

describe('postings', () => {
  it.each([
    ['two small numbers', { documents: 1000, saturations: 500 }, { bits: 9, apart: 0 }],
    ['all 32 bits', { documents: 2 ** 20, saturations: 2 ** 12 }, { bits: 12, apart: 0 }],
    ['one bit too many', { documents: 2 ** 20 + 1, saturations: 2 ** 12 }, { bits: 0, apart: 2 }],
    ['many saturations', { documents: 2 ** 20, saturations: 2 ** 16 + 1 }, { bits: 0, apart: 4 }],
    ['one saturation', { documents: 5, saturations: 1 }, { bits: 0, apart: 0 }],
    ['nothing', { documents: 0, saturations: 0 }, { bits: 0, apart: 0 }],
  ])('share 32 bits where they fit: %s', (_what, sizes, layout) => {
    expect(postingLayout(sizes)).toEqual(layout);
    const postings = makePostings({ ...sizes, postings: 3 });
    const last = { document: Math.max(0, sizes.documents - 1), row: Math.max(0, sizes.saturations - 1) };
    setPosting(postings, 1, last.document, last.row);
    expect(postings.entries[1]! >>> postings.bits).toBe(last.document);
    expect(saturationOf(postings, 1)).toBe(last.row);
    expect([saturationOf(postings, 0), saturationOf(postings, 2)]).toEqual([0, 0]);
  });

  it('give the same scores in one number as apart, for lists of every length', () => {
    const random = new Random(4);
    const size = 300;
    const lengths = Array.from({ length: 40 }, (_nothing, term) => (term < 12 ? term : random.below(size)));
    const denominators = Float32Array.from({ length: 7 }, (_nothing, row) => 1 + row / 3);
    const total = lengths.reduce((sum, length) => sum + length);
    const starts = Uint32Array.from([0, ...lengths.map((_length, at) => sumOf(lengths.slice(0, at + 1)))]);
    const shared = makePostings({ postings: total, documents: size, saturations: denominators.length });
    const apart = { entries: new Uint32Array(total), bits: 0, saturations: new Uint16Array(total) };
    for (const [term, length] of lengths.entries()) {
      const documents = random.shuffle(Array.from({ length: size }, (_nothing, at) => at)).slice(0, length);
      for (const [at, document] of documents.sort((a, b) => a - b).entries()) {
        const row = random.below(denominators.length);
        for (const postings of [shared, apart]) setPosting(postings, starts[term]! + at, document, row);
      }
    }
    expect(shared.saturations).toBeUndefined();
    const rank = (postings: typeof apart | typeof shared, terms: number[]) => {
      const scorer = new Bm25Scorer({ ...postings, starts, denominators, size });
      scorer.begin(terms.reduce((sum, term) => sum + lengths[term]!, 0));
      for (const term of terms) scorer.add(term, 1 + term / 7);
      return scorer.take(new TopScores(20, 'number'));
    };
    // One short list is not dense; the others are.
    for (const terms of [[3], [9, 11], [30], lengths.map((_length, term) => term)]) {
      expect(rank(shared, terms)).toEqual(rank(apart, terms));
    }
  });
});

const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);
