import { expect, it } from 'vitest';
import type { Postings } from './bm25-scorer.ts';
import { serve } from './bm25-worker.ts';

const [documents, saturations] = [Uint32Array.of(0, 2, 1, 2, 3), Uint16Array.of(0, 1, 0, 0, 1)];

it.each<[string, Pick<Postings, 'entries' | 'bits' | 'saturations'>]>([
  ['in one number', { entries: documents.map((document, at) => (document << 1) | saturations[at]!), bits: 1 }],
  ['apart', { entries: documents, bits: 0, saturations }],
])('the thread of BM25 ranks some queries, one after another, with postings %s', async (_how, entries) => {
  // Two terms of four documents: term 0, of idf 2, in 0 and 2, term 1, of idf 1, in 1, 2 and 3; a share is weight - weight / denominator.
  const postings = {
    size: 4,
    starts: Uint32Array.of(0, 2, 5),
    ...entries,
    denominators: Float32Array.of(2, 4),
  };
  const service = await serve({ postings }, () => false);
  const queries = {
    starts: Uint32Array.of(0, 1, 1, 3),
    terms: Uint32Array.of(0, 0, 1),
    weights: Float32Array.of(2, 2, 2),
  };
  const { value, transfer } = await service.answer({ queries, k: 2 });
  // Query 0, term 0: document 0 2 - 1 = 1, document 2 2 - 1/2 = 1.5.
  // Query 1 has no term. Query 2, term 0 and twice term 1: document 0 1; 1 1; 2 1.5 + 1 = 2.5; 3 2 - 1/2 = 1.5.
  expect([...value.counts]).toEqual([2, 0, 2]);
  expect([...value.numbers]).toEqual([2, 0, 2, 3]);
  expect([...value.scores]).toEqual([1.5, 1, 2.5, 1.5]);
  expect(new Set(transfer)).toEqual(new Set([value.scores.buffer, value.numbers.buffer, value.counts.buffer]));
});
