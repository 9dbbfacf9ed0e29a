import { describe, expect, it } from 'vitest';
import { compareDocumentIds } from '../../measures/index.ts';
import { Random } from '../../system/index.ts';
import { Bm25Index } from './bm25-index.ts';
import { analyzeEnglish } from './english-analyzer.ts';
import { ANSERINI_BM25, denominator, inverseDocumentFrequency, inverseNorm } from './lucene-bm25.ts';

interface Text {
  id: string;
  title: string;
  text: string;
}

/** Words of which the first are frequent, so that a query touches a large or a small part of the corpus. */
function words(random: Random, count: number): string {
  return Array.from({ length: count }, () => `w${Math.floor(random.uniform() ** 4 * 60)}`).join(' ');
}

function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const term of analyzeEnglish(text)) counts.set(term, (counts.get(term) ?? 0) + 1);
  return counts;
}

/** Returns a search that scores every document by the definition: one division per posting, and no skipping. */
function plainSearch(corpus: readonly Text[]) {
  const documents = corpus.map(({ id, text }) => ({
    id,
    length: analyzeEnglish(text).length,
    counts: countWords(text),
  }));
  const filled = documents.filter(({ length }) => length > 0);
  const average = filled.reduce((sum, { length }) => sum + length, 0) / filled.length;
  const inverses = documents.map(({ length }) => inverseNorm(length, average, ANSERINI_BM25));
  return (query: string): { id: string; score: number }[] => {
    const sums = new Float64Array(documents.length);
    for (const [term, count] of countWords(query)) {
      const holders = documents.filter(({ counts }) => counts.has(term)).length;
      const weight = Math.fround(count * inverseDocumentFrequency(filled.length, holders));
      for (const [at, { counts }] of documents.entries()) {
        const divisor = denominator(counts.get(term) ?? 0, inverses[at]!);
        sums[at]! += Math.fround(weight - Math.fround(weight / divisor));
      }
    }
    return documents
      .map(({ id }, at) => ({ id, score: Math.fround(sums[at]!) }))
      .filter(({ score }) => score > 0)
      .sort((x, y) => y.score - x.score || compareDocumentIds(y.id, x.id));
  };
}

describe('BM25 over random corpora', () => {
  it.each([
    [1, 40],
    [2, 700],
    [3, 700],
  ])('ranks as the definition does, bit for bit: corpus %i of %i documents', async (seed, size) => {
    const random = new Random(seed);
    const corpus = Array.from({ length: size }, (_nothing, number) => ({
      ...{ id: `d${number}`, title: '' },
      // Some texts occur several times, so that scores tie, also at the k-th place.
      text: number % 5 === 0 ? 'w1 w2 w3' : words(random, random.below(30)),
    }));
    const queries = [1, 3, 20, 120].map((count) => words(random, count));
    const index = await Bm25Index.build(corpus, { threads: 1 });
    const wanted = queries.map(plainSearch(corpus));
    for (const k of [1, 5, 50, 1000]) {
      const found = [...(await index.search(queries, k))];
      for (const [row, all] of wanted.entries()) expect(found[row], `k ${k}, query ${row}`).toEqual(all.slice(0, k));
    }
  });

  it('is not misled by its sample of the sums, every 16th, even if that holds all of the best documents or none', async () => {
    for (const offset of [0, 1]) {
      const isBest = (number: number) => number % 16 === offset;
      const texts = Array.from({ length: 4000 }, (_nothing, number) => ({
        id: String(10_000 - number),
        title: '',
        text: isBest(number) ? 'ice water' : 'ice snow fire',
      }));
      const [hits] = await (await Bm25Index.build(texts, { threads: 1 })).search(['ice water'], 300);
      const best = texts.filter(({ text }) => text === 'ice water').map(({ id }) => id);
      const others = texts.filter(({ text }) => text !== 'ice water').map(({ id }) => id);
      const order = (ids: string[]) => ids.sort((a, b) => compareDocumentIds(b, a));
      expect(hits!.map(({ id }) => id)).toEqual([...order(best), ...order(others)].slice(0, 300));
    }
  });
});
