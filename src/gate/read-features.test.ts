import { expect, it } from 'vitest';
import { fiveDocuments } from '../../test/support/five-documents.ts';
import { readAfter, readBefore } from './read-features.ts';

/**
 * Goldens by hand over the five documents of test/support/five-documents.ts. "saw" is (1, 0): it finds d5 12, d1 4, d2 3, d3 0,
 * d4 -3; BM25 finds d1 and d2. "ship sea" is (0, 1), "turn" (-1, 1).
 */
const open = await fiveDocuments();
const QUERIES = [
  { id: 'q', text: 'saw', expansions: ['ship sea', 'turn'], logProbability: -1.5 },
  { id: 'p', text: 'saw', expansions: [] },
];
const OPTIONS = { dropSelf: false };

it('reads a query before writing: a raw search, and how BM25 agrees', async () => {
  const { features, raw } = await readBefore(open(), 'dense', QUERIES, OPTIONS);
  const found = features.get('q')!;
  expect(found).toEqual(features.get('p'));
  expect(found).toMatchObject({ firstScore: 12, gapToTenth: 15 / 12, question: 0, unknownTerms: 0 });
  expect(found.words).toBeCloseTo(Math.log(2), 12);
  // saw is in two of five documents.
  expect(found.meanIdf).toBeCloseTo(Math.log(1 + 3.5 / 2.5), 6);
  // The first two of dense are d5 and d1, of BM25 d1 and d2: agreements 0 and 1/2, the second carried on.
  expect(found.agreement).toBeCloseTo((0.1 / 0.9) * 0.5 * 0.81 + 0.5 * 0.81, 12);
  expect([...raw.keys()]).toEqual(['q', 'p']);
  const lexical = await readBefore(open(), 'bm25', QUERIES, OPTIONS);
  expect(lexical.features.get('q')!.agreement).toBeUndefined();
  expect(lexical.features.get('q')!.gapToTenth).toBeGreaterThan(0);
});

it('reads a query after writing: overlap, cosine, spread, and what was known before', async () => {
  const search = open();
  const before = await readBefore(search, 'dense', QUERIES, OPTIONS);
  const features = await readAfter(search, 'dense', QUERIES, { ...OPTIONS, before, probe: 0.5 });
  const found = features.get('q')!;
  expect(found).toMatchObject({ firstScore: 12, logProbability: -1.5, coverage: 0 });
  // The mean of (0, 1) and (-1, 1) is (-1/2, 1); its cosine to (1, 0) is -1/2 / sqrt(5/4).
  expect(found.cosine).toBeCloseTo(-0.5 / Math.sqrt(1.25), 6);
  expect(found.spread).toBeCloseTo(1 - Math.SQRT1_2, 6);
  // (1/4, 1/2): d5 5.5, d2 2.75, d4 1.25, d1 1, d3 1. Raw: d5 d1 d2 d3 d4. Agreements 1, 1/2, 2/3, 3/4, 1.
  const sum = [1, 1 / 2, 2 / 3, 3 / 4, 1].reduce((total, share, at) => total + share * 0.9 ** (at + 1), 0);
  expect(found.overlap).toBeCloseTo((0.1 / 0.9) * sum + 0.9 ** 5, 6);
  // Without expansions nothing is added.
  expect(features.get('p')).toEqual(before.features.get('p'));
  const lexical = await readBefore(search, 'bm25', QUERIES, OPTIONS);
  const read = await readAfter(search, 'bm25', QUERIES, { ...OPTIONS, before: lexical, probe: 0.5 });
  expect(read.get('q')).not.toHaveProperty('cosine');
  expect(read.get('q')!.overlap).toBeGreaterThan(0);
});

it('reads the same features under feedback, which belongs to the search and not to the query', async () => {
  for (const [kind, feedback] of [
    ['dense', 'vector'],
    ['bm25', 'rm3'],
  ] as const) {
    const [plain, fed] = [open(), open({ feedback })];
    const before = await readBefore(plain, kind, QUERIES, OPTIONS);
    expect((await readBefore(fed, kind, QUERIES, OPTIONS)).features).toEqual(before.features);
    const options = { ...OPTIONS, before, probe: 0.5 };
    expect(await readAfter(fed, kind, QUERIES, options)).toEqual(await readAfter(plain, kind, QUERIES, options));
  }
});
