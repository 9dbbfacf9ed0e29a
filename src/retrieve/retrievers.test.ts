import { describe, expect, it } from 'vitest';
import { FiveCorpus, FiveEncoder, fiveDocuments } from '../../test/support/five-documents.ts';
import type { EncodeOptions, TextRole } from '../embed/index.ts';
import type { Run } from '../measures/index.ts';
import type { CorpusSearch } from './corpus-search.ts';
import type { ExpandedQuery, Retriever } from './retriever.ts';
import type { RetrievalSettings } from './settings.ts';

/**
 * Goldens by hand over the five documents of test/support/five-documents.ts:
 * d1 (4, 0), d2 (3, 4), d3 (0, 2), d4 (-3, 4), d5 (12, 5).
 */
const open = await fiveDocuments();
const searches = new Map<string, CorpusSearch>();

/** One search for equal settings. */
function opened(settings: Partial<RetrievalSettings>): CorpusSearch {
  const key = JSON.stringify(settings);
  const search = searches.get(key) ?? open(settings);
  searches.set(key, search);
  return search;
}

const saw = (...expansions: string[]): ExpandedQuery => ({ id: 'q', text: 'saw', expansions });
/** The query whose id is a document's. */
const self = (...expansions: string[]): ExpandedQuery => ({ ...saw(...expansions), id: 'd5' });

interface Case {
  settings?: Partial<RetrievalSettings>;
  /** Of the retriever alone, above the setting. */
  alpha?: number;
  depth?: number;
  dropSelf?: boolean;
}

async function search(
  kind: Retriever['name'],
  queries: readonly ExpandedQuery[],
  { settings = {}, alpha, depth = 10, dropSelf = true }: Case = {},
): Promise<Run> {
  const retriever = await opened(settings).retriever(kind, alpha === undefined ? {} : { alpha });
  const { run } = await retriever.retrieve(queries, { depth, dropSelf });
  return run;
}

/** The hits of the one query, as `id score` in order of rank. */
async function hitsOf(kind: Retriever['name'], query: ExpandedQuery, options: Case = {}): Promise<[string, number][]> {
  const run = await search(kind, [query], options);
  return run.get(query.id)!.map(({ id, score }) => [id, score]);
}

async function expectHits(
  kind: Retriever['name'],
  query: ExpandedQuery,
  options: Case,
  wanted: readonly (readonly [string, number])[],
): Promise<void> {
  const hits = await hitsOf(kind, query, options);
  expect(hits.map(([id]) => id)).toEqual(wanted.map(([id]) => id));
  for (const [at, [, score]] of wanted.entries()) expect(hits[at]![1]).toBeCloseTo(score, 6);
}

describe('dense search', () => {
  // E(saw) = (1, 0), E(ship sea) = (0, 1): the combined vector is (1 - alpha, alpha).
  it.each([
    // (1, 0): the first coordinate.
    { alpha: 0, hits: { d5: 12, d1: 4, d2: 3, d3: 0, d4: -3 } },
    // (3/4, 1/4): d5 9 + 5/4, d2 9/4 + 1, d1 3, d3 1/2, d4 -9/4 + 1.
    { alpha: 0.25, hits: { d5: 10.25, d2: 3.25, d1: 3, d3: 0.5, d4: -1.25 } },
    // (1/2, 1/2): half the sum of the coordinates.
    { alpha: 0.5, hits: { d5: 8.5, d2: 3.5, d1: 2, d3: 1, d4: 0.5 } },
    // (1/4, 3/4): d5 3 + 15/4, d2 3/4 + 3, d4 -3/4 + 3, d3 3/2, d1 1.
    { alpha: 0.75, hits: { d5: 6.75, d2: 3.75, d4: 2.25, d3: 1.5, d1: 1 } },
    // (0, 1): the second coordinate; d4 and d2 tie at 4, the larger id first.
    { alpha: 1, hits: { d5: 5, d4: 4, d2: 4, d3: 2, d1: 0 } },
  ])('weighs the expansion by alpha $alpha (dot)', async ({ alpha, hits }) => {
    await expectHits('dense', saw('ship sea'), { alpha }, Object.entries(hits));
  });

  it.each([
    // First coordinate over length: d1 4/4, d5 12/13, d2 3/5, d3 0, d4 -3/5.
    { alpha: 0, hits: { d1: 1, d5: 12 / 13, d2: 0.6, d3: 0, d4: -0.6 } },
    // (1/2, 1/2) has the direction (1, 1)/√2: sum of the coordinates over length and √2; d3 and d1 tie.
    {
      alpha: 0.5,
      hits: {
        d2: 7 / 5 / Math.SQRT2,
        d5: 17 / 13 / Math.SQRT2,
        d3: 1 / Math.SQRT2,
        d1: 1 / Math.SQRT2,
        d4: 1 / 5 / Math.SQRT2,
      },
    },
    // Second coordinate over length: d3 2/2, d4 and d2 4/5, d5 5/13, d1 0.
    { alpha: 1, hits: { d3: 1, d4: 0.8, d2: 0.8, d5: 5 / 13, d1: 0 } },
  ])('weighs the expansion by alpha $alpha (cosine)', async ({ alpha, hits }) => {
    await expectHits('dense', saw('ship sea'), { alpha, settings: { similarity: 'cosine' } }, Object.entries(hits));
  });

  it('combines the vectors as they are, and only then takes their direction (cosine)', async () => {
    // E(lamp) = (-3, 2): (-1, 1) has the direction (-1, 1)/√2. Of unit vectors it would point to the right, and d2 come first.
    await expectHits('dense', saw('lamp'), { settings: { similarity: 'cosine' } }, [
      ['d4', 7 / 5 / Math.SQRT2],
      ['d3', 2 / 2 / Math.SQRT2],
      ['d2', 1 / 5 / Math.SQRT2],
      ['d5', -7 / 13 / Math.SQRT2],
      ['d1', -4 / 4 / Math.SQRT2],
    ]);
  });

  it.each([
    // No expansion: E(saw) = (1, 0), not half of it.
    { expansions: [], hits: { d5: 12, d1: 4, d2: 3, d3: 0, d4: -3 } },
    // One: (1/2, 1/2).
    { expansions: ['ship sea'], hits: { d5: 8.5, d2: 3.5, d1: 2, d3: 1, d4: 0.5 } },
    // Two: the mean of (0, 1) and (0, 3) is (0, 2); (1/2, 1). d3 and d1 tie at 2.
    { expansions: ['ship sea', 'ship'], hits: { d5: 11, d2: 5.5, d4: 2.5, d3: 2, d1: 2 } },
    // Three: the mean of (0, 1), (0, 3) and (-3, 2) is (-1, 2); (0, 1).
    { expansions: ['ship sea', 'ship', 'lamp'], hits: { d5: 5, d4: 4, d2: 4, d3: 2, d1: 0 } },
    // The same one twice is the same mean.
    { expansions: ['ship sea', 'ship sea'], hits: { d5: 8.5, d2: 3.5, d1: 2, d3: 1, d4: 0.5 } },
  ])('takes the mean of $expansions.length expansions', async ({ expansions, hits }) => {
    await expectHits('dense', saw(...expansions), {}, Object.entries(hits));
  });

  it('weighs the query like each expansion, or puts it before each', async () => {
    // A third of (1, 0), (0, 1) and (0, 3): (1, 4) / 3.
    await expectHits('dense', saw('ship sea', 'ship'), { settings: { alpha: 'mean' } }, [
      ['d5', 32 / 3],
      ['d2', 19 / 3],
      ['d4', 13 / 3],
      ['d3', 8 / 3],
      ['d1', 4 / 3],
    ]);
    // E(saw ship sea) = (1, 1), E(saw ship) = (1, 3): their mean is (1, 2). E(saw) alone does not count.
    await expectHits('dense', saw('ship sea', 'ship'), { settings: { alpha: 'joined' } }, [
      ['d5', 22],
      ['d2', 11],
      ['d4', 5],
      ['d3', 4],
      ['d1', 4],
    ]);
    await expectHits('dense', saw(), { settings: { alpha: 'joined' } }, await hitsOf('dense', saw()));
  });

  it('gives each query of a batch its own expansions', async () => {
    const batch = [
      { id: 'one', text: 'saw', expansions: ['ship sea', 'ship'] }, // (1/2, 1)
      { id: 'none', text: 'ship sea', expansions: [] }, // (0, 1)
      { id: 'last', text: 'saw', expansions: ['turn'] }, // (0, 1/2)
    ];
    const run = await search('dense', batch, { depth: 2 });
    expect([...run]).toEqual([
      [
        'one',
        [
          { id: 'd5', score: 11 },
          { id: 'd2', score: 5.5 },
        ],
      ],
      [
        'none',
        [
          { id: 'd5', score: 5 },
          { id: 'd4', score: 4 },
        ],
      ],
      [
        'last',
        [
          { id: 'd5', score: 2.5 },
          { id: 'd4', score: 2 },
        ],
      ],
    ]);
  });

  it('takes alpha from the settings if the retriever has none of its own', async () => {
    const settings = { alpha: 0.25 };
    expect(await hitsOf('dense', saw('ship sea'), { settings })).toEqual(
      await hitsOf('dense', saw('ship sea'), settings),
    );
  });

  it('embeds expansions in the role that is set', async () => {
    // As a document "ship sea" is (-1, 1): (1/2 - 1/2, 1/2).
    await expectHits('dense', saw('ship sea'), { settings: { expansionRole: 'document' } }, [
      ['d5', 2.5],
      ['d4', 2],
      ['d2', 2],
      ['d3', 1],
      ['d1', 0],
    ]);
  });

  it('ranks a query alone as in a batch, and accepts an empty batch', async () => {
    expect(new Map(await search('dense', []))).toEqual(new Map());
    expect([...(await search('dense', [saw(), { ...saw(), id: 'p' }], { depth: 1 })).values()]).toEqual([
      [{ id: 'd5', score: 12 }],
      [{ id: 'd5', score: 12 }],
    ]);
  });
});

describe('BM25', () => {
  // 5 documents, k1 = 1, b = 0: a term adds count · idf · f / (f + 1).
  // saw (d1 three times, d2), ship (d3 three times, d4 twice) and sea (d4, d5) stand in two documents each:
  // idf = ln(1 + (5 - 2 + 1/2) / (2 + 1/2)) = ln 2.4.
  const idf = Math.log(2.4);

  it('scores the query as it is', async () => {
    await expectHits('bm25', saw(), {}, [
      ['d1', (3 / 4) * idf],
      ['d2', (1 / 2) * idf],
    ]);
  });

  it('repeats the query before its expansions', async () => {
    // saw five times, ship and sea once; title and text are one field: d4 holds ship twice.
    await expectHits('bm25', saw('ship sea'), {}, [
      ['d1', 5 * (3 / 4) * idf],
      ['d2', 5 * (1 / 2) * idf],
      ['d4', (2 / 3 + 1 / 2) * idf],
      ['d3', (3 / 4) * idf],
      ['d5', (1 / 2) * idf],
    ]);
    // saw, ship and sea once: d3 and d1 tie at 3/4, d5 and d2 at 1/2.
    await expectHits('bm25', saw('ship sea'), { settings: { queryRepeats: 1 } }, [
      ['d4', (2 / 3 + 1 / 2) * idf],
      ['d3', (3 / 4) * idf],
      ['d1', (3 / 4) * idf],
      ['d5', (1 / 2) * idf],
      ['d2', (1 / 2) * idf],
    ]);
  });

  it('repeats the query once for each expansion on request', async () => {
    const repeated = await hitsOf('bm25', saw('ship sea', 'ship'), { settings: { queryRepeats: 'per-text' } });
    expect(repeated).toEqual(await hitsOf('bm25', saw('ship sea', 'ship'), { settings: { queryRepeats: 2 } }));
  });

  it('joins several expansions, and skips blank ones', async () => {
    // saw twice, ship twice, sea once.
    const wanted: [string, number][] = [
      ['d4', (2 * (2 / 3) + 1 / 2) * idf],
      ['d3', 2 * (3 / 4) * idf],
      ['d1', 2 * (3 / 4) * idf],
      ['d2', 2 * (1 / 2) * idf],
      ['d5', (1 / 2) * idf],
    ];
    await expectHits('bm25', saw('ship sea', 'ship'), { settings: { queryRepeats: 2 } }, wanted);
    await expectHits('bm25', saw('ship sea', ' ', 'ship', ''), { settings: { queryRepeats: 2 } }, wanted);
    await expectHits('bm25', saw(' '), {}, await hitsOf('bm25', saw()));
  });

  it('obeys k1 and b', async () => {
    // b = 1, mean length 15 / 5 = 3: k1 · length / 3. With k1 = 3: d1 4, d2 2.
    await expectHits('bm25', saw(), { settings: { k1: 3, b: 1 } }, [
      ['d1', (3 / (3 + 4)) * idf],
      ['d2', (1 / (1 + 2)) * idf],
    ]);
    // k1 = 0: how often a term stands in a document does not count.
    await expectHits('bm25', saw(), { settings: { k1: 0 } }, [
      ['d2', idf],
      ['d1', idf],
    ]);
  });

  it('finds nothing for words that no document holds', async () => {
    expect(await hitsOf('bm25', { id: 'q', text: 'zebra', expansions: [] })).toEqual([]);
  });
});

describe('fused search', () => {
  // Dense (alpha 1/2): d5 d2 d1 d3 d4. BM25 (query five times): d1 d2 d4 d3 d5.
  it('adds 1 / (60 + rank) of the dense and the BM25 run', async () => {
    await expectHits('rrf', saw('ship sea'), {}, [
      ['d1', 1 / 63 + 1 / 61],
      ['d2', 1 / 62 + 1 / 62],
      ['d5', 1 / 61 + 1 / 65],
      ['d4', 1 / 65 + 1 / 63],
      ['d3', 1 / 64 + 1 / 64],
    ]);
  });

  it('obeys the constant; equal sums are ordered by id, descending', async () => {
    // k = 1: d5 1/2 + 1/6 and d2 1/3 + 1/3 tie.
    await expectHits('rrf', saw('ship sea'), { settings: { rrfK: 1 } }, [
      ['d1', 1 / 4 + 1 / 2],
      ['d5', 1 / 2 + 1 / 6],
      ['d2', 1 / 3 + 1 / 3],
      ['d4', 1 / 6 + 1 / 4],
      ['d3', 1 / 5 + 1 / 5],
    ]);
  });

  it('gives the dense part its alpha', async () => {
    // alpha 1: d5 d4 d2 d3 d1. d4 and d2 tie, d5 and d1 too.
    const wanted: [string, number][] = [
      ['d4', 1 / 62 + 1 / 63],
      ['d2', 1 / 63 + 1 / 62],
      ['d5', 1 / 61 + 1 / 65],
      ['d1', 1 / 65 + 1 / 61],
      ['d3', 1 / 64 + 1 / 64],
    ];
    await expectHits('rrf', saw('ship sea'), { settings: { alpha: 1 } }, wanted);
    await expectHits('rrf', saw('ship sea'), { alpha: 1 }, wanted);
  });

  it('ranks what only one part finds', async () => {
    // Without expansion BM25 finds d1 and d2; dense: d5 d1 d2 d3 d4.
    await expectHits('rrf', saw(), {}, [
      ['d1', 1 / 62 + 1 / 61],
      ['d2', 1 / 63 + 1 / 62],
      ['d5', 1 / 61],
      ['d3', 1 / 64],
      ['d4', 1 / 65],
    ]);
  });

  it('searches both parts to the depth, and keeps as many', async () => {
    // Two each: dense d5 d2, BM25 d1 d2; d5 and d1 tie.
    await expectHits('rrf', saw('ship sea'), { depth: 2 }, [
      ['d2', 1 / 62 + 1 / 62],
      ['d5', 1 / 61],
    ]);
  });
});

describe('fusion of normalised scores', () => {
  // Dense (alpha 1/2): d5 8.5, d2 3.5, d1 2, d3 1, d4 .5. BM25 as shares of idf: d1 3.75, d2 2.5, d4 7/6, d3 .75, d5 .5.
  const dense = (score: number) => (score - 0.5) / 8;
  const lexical = (score: number) => (score - 0.5) / 3.25;

  it('is the mean of both, each from 0 to 1 over its hits', async () => {
    await expectHits('rrf', saw('ship sea'), { settings: { fusion: 'minmax' } }, [
      ['d1', (dense(2) + lexical(3.75)) / 2],
      ['d5', (dense(8.5) + lexical(0.5)) / 2],
      ['d2', (dense(3.5) + lexical(2.5)) / 2],
      ['d4', (dense(0.5) + lexical(7 / 6)) / 2],
      ['d3', (dense(1) + lexical(0.75)) / 2],
    ]);
  });

  it('obeys the weight of dense search', async () => {
    await expectHits('rrf', saw('ship sea'), { settings: { fusion: 'minmax', fusionWeight: 0.75 } }, [
      ['d5', 0.75 * dense(8.5) + 0.25 * lexical(0.5)],
      ['d2', 0.75 * dense(3.5) + 0.25 * lexical(2.5)],
      ['d1', 0.75 * dense(2) + 0.25 * lexical(3.75)],
      ['d3', 0.75 * dense(1) + 0.25 * lexical(0.75)],
      ['d4', 0.75 * dense(0.5) + 0.25 * lexical(7 / 6)],
    ]);
    const alone = (kind: 'rrf' | 'dense' | 'bm25', settings: Partial<RetrievalSettings>) =>
      hitsOf(kind, saw('ship sea'), { settings }).then((hits) => hits.map(([id]) => id));
    for (const fusion of ['rrf', 'minmax'] as const) {
      expect(await alone('rrf', { fusion, fusionWeight: 1 })).toEqual(await alone('dense', {}));
      expect(await alone('rrf', { fusion, fusionWeight: 0 })).toEqual(await alone('bm25', {}));
    }
  });

  it('is the same for each alpha at once', async () => {
    const settings = { fusion: 'minmax', fusionWeight: 0.75 } as const;
    const [run] = await opened(settings).combinedRuns('rrf', [{ alpha: 0.25 }], [saw('ship sea')], {
      depth: 5,
      dropSelf: true,
    });
    const hits = run!.get('q')!.map(({ id, score }) => [id, score]);
    expect(hits).toEqual(await hitsOf('rrf', saw('ship sea'), { settings, alpha: 0.25 }));
  });
});

describe('feedback', () => {
  it('moves a vector to the mean of its first documents', async () => {
    // saw: (1, 0), first d5 (12, 5), d1 (4, 0) and d2 (3, 4): ((1, 0) + (19, 9)) / 4.
    const settings = { feedback: 'vector' } as const;
    await expectHits('dense', saw(), { settings }, [
      ['d5', 12 * 5 + 5 * 2.25],
      ['d2', 3 * 5 + 4 * 2.25],
      ['d1', 4 * 5],
      ['d3', 2 * 2.25],
      ['d4', -3 * 5 + 4 * 2.25],
    ]);
    // Two documents, weight 1/2: (1, 0) / 2 + (16, 5) / 4.
    await expectHits('dense', saw(), { settings: { ...settings, feedbackDocuments: 2, feedbackWeight: 0.5 } }, [
      ['d5', 12 * 4.5 + 5 * 1.25],
      ['d2', 3 * 4.5 + 4 * 1.25],
      ['d1', 4 * 4.5],
      ['d3', 2 * 1.25],
      ['d4', -3 * 4.5 + 4 * 1.25],
    ]);
  });

  it('moves the vector of an expanded query, for each alpha', async () => {
    // (1/2, 1/2), first d5: (1/4, 1/4) + (6, 2.5).
    const settings = { feedback: 'vector-rocchio', feedbackDocuments: 1, feedbackWeight: 0.5 } as const;
    const [x, y] = [6.25, 2.75];
    const wanted: [string, number][] = [
      ['d5', 12 * x + 5 * y],
      ['d2', 3 * x + 4 * y],
      ['d1', 4 * x],
      ['d3', 2 * y],
      ['d4', -3 * x + 4 * y],
    ];
    await expectHits('dense', saw('ship sea'), { settings }, wanted);
    const runs = await opened(settings).combinedRuns('dense', [{ alpha: 0 }, { alpha: 0.5 }], [saw('ship sea')], {
      depth: 5,
      dropSelf: true,
    });
    expect(runs[1]!.get('q')!.map(({ id, score }) => [id, score])).toEqual(wanted);
  });

  it('adds terms of the first documents in BM25 (all terms are in more than a tenth of five documents)', async () => {
    // Nothing is taken from the documents: RM3 halves the query's weights, Rocchio keeps them, scaled to length 1.
    const plain = await hitsOf('bm25', saw());
    const times = (factor: number) => plain.map(([id, score]): [string, number] => [id, factor * score]);
    await expectHits('bm25', saw(), { settings: { feedback: 'rm3' } }, times(0.5));
    await expectHits('bm25', saw(), { settings: { feedback: 'rm3', feedbackWeight: 0.25 } }, times(0.75));
    await expectHits('bm25', saw(), { settings: { feedback: 'rocchio' } }, times(1));
  });

  it('takes BM25-PRF terms of two documents at least', async () => {
    // saw finds d1 and d2, which both hold wood; so does d5. The weight of wood: .2 · ln(2.5 · 2.5 / (1.5 · .5)).
    const hits = await hitsOf('bm25', saw(), { settings: { feedback: 'bm25-prf' } });
    const wood = 0.2 * Math.log((2.5 * 2.5) / (1.5 * 0.5));
    const [id, score] = hits.at(-1)!;
    expect(id).toBe('d5');
    expect(score).toBeCloseTo(wood / 2, 6);
    expect(hits).toHaveLength(3);
  });

  it('repeat: writes a query five times, and leaves expanded ones', async () => {
    const settings = { feedback: 'repeat' } as const;
    const plain = await hitsOf('bm25', saw());
    const fivefold = plain.map(([id, score]): [string, number] => [id, 5 * score]);
    await expectHits('bm25', saw(), { settings }, fivefold);
    expect(await hitsOf('dense', saw(), { settings })).toEqual(
      (await hitsOf('dense', saw())).map(([id, score]) => [id, 5 * score]),
    );
    for (const kind of ['bm25', 'dense'] as const) {
      expect(await hitsOf(kind, saw('ship sea'), { settings })).toEqual(await hitsOf(kind, saw('ship sea')));
    }
  });

  it('acts in its part of a fusion', async () => {
    const fused = await hitsOf('rrf', saw(), { settings: { feedback: 'vector', fusionWeight: 1 } });
    const dense = await hitsOf('dense', saw(), { settings: { feedback: 'vector' } });
    expect(fused.map(([id]) => id)).toEqual(dense.map(([id]) => id));
    expect(dense.map(([id]) => id)).not.toEqual((await hitsOf('dense', saw())).map(([id]) => id));
  });

  it('is named among the settings, with its own', async () => {
    const settingsOf = async (kind: Retriever['name'], settings: Partial<RetrievalSettings>) =>
      (await opened(settings).retriever(kind)).settings;
    expect(await settingsOf('bm25', { feedback: 'rm3' })).toMatchObject({
      ...{ feedback: 'rm3', 'feedback documents': 10, 'feedback terms': 10, 'feedback weight': 0.5 },
    });
    expect(await settingsOf('dense', { feedback: 'vector', feedbackDocuments: 4 })).toMatchObject({
      ...{ feedback: 'vector', 'feedback documents': 4, 'feedback weight': 0.8 },
    });
    expect(await settingsOf('dense', { feedback: 'repeat' })).toMatchObject({ feedback: 'repeat' });
  });

  it.each([
    ['bm25', { feedback: 'vector' }, /does not act in the retriever bm25/],
    ['dense', { feedback: 'rm3' }, /does not act in the retriever dense/],
    ['bm25', { feedback: 'rm3', fields: 'multifield' }, /does not work with --fields multifield/],
    ['bm25', { feedback: 'rm3', feedbackWeight: 1.5 }, /--feedback-weight is 1.5/],
    ['dense', { feedback: 'vector', feedbackTerms: 5 }, /--feedback-terms works only with/],
    ['dense', { feedback: 'repeat', feedbackDocuments: 5 }, /--feedback-documents works only with/],
    ['bm25', { feedbackWeight: 0.5 }, /--feedback-weight works only with --feedback/],
  ] as const)('is refused where it has no effect: %s %o', async (kind, settings, message) => {
    await expect((async () => (await open(settings)).retriever(kind))()).rejects.toThrow(message);
  });
});

describe('a document that is the query itself', () => {
  const cases = [
    { kind: 'dense', dropped: ['d2', 'd1', 'd3', 'd4'], kept: ['d5', 'd2', 'd1', 'd3', 'd4'] },
    { kind: 'bm25', dropped: ['d1', 'd2', 'd4', 'd3'], kept: ['d1', 'd2', 'd4', 'd3', 'd5'] },
    // Of the dropped runs: d2 1/61 + 1/62 = d1 1/62 + 1/61, d4 1/64 + 1/63 = d3 1/63 + 1/64.
    { kind: 'rrf', dropped: ['d2', 'd1', 'd4', 'd3'], kept: ['d1', 'd2', 'd5', 'd4', 'd3'] },
  ] as const;

  it.each(cases)('is dropped from $kind, or kept on request', async ({ kind, dropped, kept }) => {
    const ids = async (options: Case) => (await hitsOf(kind, self('ship sea'), options)).map(([id]) => id);
    expect(await ids({ dropSelf: true })).toEqual(dropped);
    expect(await ids({ dropSelf: false })).toEqual(kept);
    // The next document takes its place, so that as many come back.
    expect(await ids({ dropSelf: true, depth: 3 })).toEqual(dropped.slice(0, 3));
  });

  it.each(cases)('does not affect other queries ($kind)', async ({ kind, dropped, kept }) => {
    const run = await search(kind, [saw('ship sea'), self('ship sea')], { dropSelf: true });
    expect(run.get('q')!.map(({ id }) => id)).toEqual(kept);
    expect(run.get('d5')!.map(({ id }) => id)).toEqual(dropped);
  });
});

describe('the depth', () => {
  it.each(['dense', 'bm25', 'rrf'] as const)('beyond the corpus finds the whole corpus (%s)', async (kind) => {
    const all = await hitsOf(kind, saw('ship sea'), { depth: 5 });
    expect(all).toHaveLength(5);
    expect(await hitsOf(kind, saw('ship sea'), { depth: 1000 })).toEqual(all);
    if (kind !== 'rrf') expect(await hitsOf(kind, saw('ship sea'), { depth: 1 })).toEqual(all.slice(0, 1));
  });
});

describe('what a retriever reports about itself', () => {
  it.each([
    [
      'dense',
      {
        encoder: 'five',
        'encoder key': 'five-1',
        pooling: 'none',
        similarity: 'cosine',
        alpha: 0.3,
        'expansion role': 'query',
      },
    ],
    ['bm25', { k1: 1, b: 0, analyzer: 'english', fields: 'flat', 'query repeats': 3 }],
    [
      'rrf',
      {
        ...{ fusion: 'rrf', 'fusion weight': 0.5, 'rrf k': 7 },
        ...{ k1: 1, b: 0, analyzer: 'english', fields: 'flat', 'query repeats': 3 },
        ...{ encoder: 'five', 'encoder key': 'five-1', pooling: 'none', similarity: 'cosine', alpha: 0.3 },
        'expansion role': 'query',
      },
    ],
  ] as const)('%s: name, size and settings', async (kind, settings) => {
    const retriever = await open({ alpha: 0.3, similarity: 'cosine', queryRepeats: 3, rrfK: 7 }).retriever(kind);
    expect(retriever.name).toBe(kind);
    expect(retriever.size).toBe(5);
    expect(retriever.settings).toEqual(settings);
  });

  it('reports the time of embedding and of searching', async () => {
    for (const kind of ['dense', 'bm25', 'rrf'] as const) {
      const retriever = await opened({}).retriever(kind);
      const started = performance.now();
      const { encodeMilliseconds, searchMilliseconds } = await retriever.retrieve([saw()], {
        depth: 1,
        dropSelf: true,
      });
      expect(encodeMilliseconds + searchMilliseconds).toBeLessThanOrEqual(performance.now() - started);
      expect(searchMilliseconds).toBeGreaterThan(0);
      if (kind === 'bm25') expect(encodeMilliseconds).toBe(0);
      else expect(encodeMilliseconds).toBeGreaterThan(0);
    }
  });
});

describe('one query', () => {
  it('is searched by its text alone, by each retriever, with expansions and without', async () => {
    const search = opened({ alpha: 1, rrfK: 60 });
    expect(await search.search('saw', { top: 2 })).toEqual([
      { id: 'd5', score: 12 },
      { id: 'd1', score: 4 },
    ]);
    const ids = async (options: Parameters<CorpusSearch['search']>[1]) =>
      (await search.search('saw', options)).map(({ id }) => id);
    expect(await ids({ expansions: ['ship sea'] })).toEqual(['d5', 'd4', 'd2', 'd3', 'd1']);
    expect(await ids({ kind: 'bm25' })).toEqual(['d1', 'd2']);
    expect(await ids({ kind: 'rrf', top: 1, expansions: ['ship sea'] })).toEqual(['d4']);
  });
});

describe('documents that the encoder cuts', () => {
  class CuttingEncoder extends FiveEncoder {
    override readonly settings = { pooling: 'none', maxLength: 7 };
    override readonly fingerprint = 'cutting';
    override async encode(texts: readonly string[], role: TextRole, options?: EncodeOptions): Promise<Float32Array> {
      for (const [row, text] of texts.entries()) if (text.startsWith('saw')) options?.onCut?.(row);
      return super.encode(texts, role);
    }
  }

  it('are noted by dense and fused search, with their share, also from kept vectors', async () => {
    const note =
      '40 % of the documents (2 of 5) are longer than 7 tokens: the rest of their text is not searched by five. --passages 150/50 searches all of it.';
    for (let time = 0; time < 2; time++) {
      const search = open({}, { encoder: new CuttingEncoder() });
      expect((await search.retriever('dense')).notes).toEqual([note]);
      expect((await search.retriever('rrf')).notes).toEqual([note]);
      expect((await search.retriever('bm25')).notes).toEqual([]);
    }
    expect((await opened({}).retriever('dense')).notes).toEqual([]);
  });
});

describe('documents', () => {
  it('are looked up by id, and the corpus is read no further than necessary', async () => {
    const corpus = new FiveCorpus();
    const search = open({}, { corpus });
    expect([...(await search.lookUp(['d4', 'd1', 'gone'])).keys()]).toEqual(['d1', 'd4']);
    expect((await search.lookUp(['d4'])).get('d4')).toEqual({ id: 'd4', title: 'ship', text: 'ship sea' });
    expect(corpus.reads).toBe(2);
    expect(await search.lookUp([])).toEqual(new Map());
    expect(corpus.reads).toBe(2);
  });
});
