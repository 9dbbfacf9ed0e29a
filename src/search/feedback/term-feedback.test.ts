import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { Bm25Index } from '../bm25/bm25-index.ts';
import { TERM_FEEDBACK, type TermFeedbackName } from './term-feedback.ts';

interface Golden {
  documents: [id: string, title: string, text: string][];
  queries: [id: string, text: string][];
  methods: Record<
    string,
    { hits: Record<string, [id: string, score: number][]>; weights: Record<string, Record<string, number>> }
  >;
  multifield: Record<string, [id: string, score: number][]>;
}
const golden: Golden = JSON.parse(await readFile(new URL('../goldens/anserini.json', import.meta.url), 'utf8'));
const corpus = golden.documents.map(([id, title, text]) => ({ id, title, text }));

let index: Bm25Index;
beforeAll(async () => {
  index = await Bm25Index.build(corpus, { threads: 1 });
});

/** The query of the second search. */
async function refine(
  name: TermFeedbackName,
  query: string,
  documents: number,
  settings: { terms: number; weight: number; onlyLatin?: boolean },
) {
  const { numbers, scores } = (await index.search([query], index.size)).list(0);
  // Anserini's order: of equal scores, the smaller id first; our numbers grow as ids fall.
  const first = Array.from(numbers, (number, at) => ({ number, score: scores[at]! }))
    .sort((a, b) => b.score - a.score || b.number - a.number)
    .slice(0, documents);
  const terms = await index.documentTerms(first.map(({ number }) => number));
  const read = first.map(({ number, score }) => ({ terms: terms.get(number)!, score }));
  const statistics = { size: index.size, documentsWith: (term: string) => index.documentsWith(term) };
  return TERM_FEEDBACK[name](index.countTerms(query), read, statistics, { onlyLatin: true, ...settings });
}

const CASES: [method: string, name: TermFeedbackName, documents: number, terms: number, weight: number][] = [
  ['rm3', 'rm3', 10, 10, 0.5],
  ['rm3 of 3 terms, 5 documents, weight 0.7', 'rm3', 5, 3, 0.7],
  ['rocchio', 'rocchio', 10, 10, 0.75],
  ['rocchio of 5 terms, 4 documents, weight 0.4', 'rocchio', 4, 5, 0.4],
  ['bm25-prf', 'bm25-prf', 10, 20, 0.2],
  ['bm25-prf of 1000 terms, 6 documents, weight 0.4', 'bm25-prf', 6, 1000, 0.4],
];

/** The 20th and 21st offer weights of this query are equal; Anserini leaves the choice to a hash table. */
const TIED = 'q6';

/** Compares ten hits with a run file, whose scores are rounded and lowered a little to break ties. */
function expectHits(found: readonly { id: string; score: number }[], wanted: [string, number][], query: string): void {
  expect(found.length, query).toBe(Math.min(10, wanted.length));
  const scores = new Map(wanted);
  for (const [at, { id, score }] of found.entries()) {
    expect(Math.abs(score - scores.get(id)!), `${query}: ${id}`).toBeLessThan(0.0001);
    expect(Math.abs(score - wanted[at]![1]), `${query}: rank ${at}`).toBeLessThan(0.0001);
  }
}

describe('feedback', () => {
  it.each(CASES)("%s: Anserini's hits and weights", async (method, name, documents, terms, weight) => {
    const { hits, weights } = golden.methods[method]!;
    for (const [id, text] of golden.queries) {
      if (method === 'bm25-prf' && id === TIED) continue;
      const refined = await refine(name, text, documents, { terms, weight });
      const own = weights[id];
      if (own !== undefined) {
        for (const [term, found] of refined.weights) expect(found, `${id}: ${term}`).toBe(Math.fround(own[term] ?? 0));
        expect([...refined.weights.keys()].sort()).toEqual(Object.keys(own).sort());
      }
      const [found] = await index.search([refined], 10);
      expectHits(found!, hits[id] ?? [], id);
    }
  });
});

it("the sum of both fields' scores is that of Anserini's multifield search", async () => {
  const multifield = await Bm25Index.build(corpus, { fields: 'multifield' });
  for (const [id, text] of golden.queries) {
    const [found] = await multifield.search([text], 10);
    expectHits(found!, golden.multifield[id] ?? [], id);
  }
});
