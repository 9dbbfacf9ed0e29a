import { describe, expect, it } from 'vitest';
import { DOCUMENTS, FIVE_SETTINGS, FiveEncoder, fiveDocuments } from '../../test/support/five-documents.ts';
import { type ExplainedQuery, ExplainedSearch } from './explained-search.ts';
import { defaultRetrievalSettings } from './settings.ts';

const open = await fiveDocuments();
const IDS = DOCUMENTS.map(({ id }) => id);

function explained(settings: Parameters<typeof open>[0] = {}, encoder = new FiveEncoder()) {
  const search = open(settings, { encoder });
  const full = defaultRetrievalSettings({ ...FIVE_SETTINGS, ...settings });
  return { search, encoder, explained: new ExplainedSearch(IDS, search, full) };
}

const QUERY: ExplainedQuery = {
  text: 'saw',
  expansions: ['ship sea', 'lamp'],
  kind: 'dense',
  alpha: 0.3,
  queryRepeats: 2,
};

describe.each(['dot', 'cosine'] as const)('a ranking by %s', (similarity) => {
  it.each([0, 0.25, 0.3, 1])(
    'is that of the dense retriever at alpha %d, and its shares sum to the scores',
    async (alpha) => {
      const { search, explained: own } = explained({ similarity, alpha });
      const { text, expansions } = QUERY;
      const expected = await search.search(text, { expansions, top: 5 });
      const ranking = await own.rank({ ...QUERY, alpha });
      const found = ranking.top(5);
      expect(found.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
      const explanations = await ranking.explain(found.map(({ id }) => own.placeOf(id)!));
      for (const [at, { score }] of expected.entries()) {
        const { dense } = explanations[at]!;
        expect(found[at]!.score).toBeCloseTo(score, 5);
        expect(dense!.query + dense!.expansions.reduce((sum, share) => sum + share, 0)).toBeCloseTo(dense!.score, 9);
        expect(Math.abs(dense!.score - score) / Math.max(1, Math.abs(score))).toBeLessThan(1e-6);
      }
    },
  );
});

describe('a ranking', () => {
  it('tells the shares of query and expansions as they are defined', async () => {
    const { explained: own } = explained();
    const [found] = await (await own.rank(QUERY)).explain([own.placeOf('d5')!]);
    // d5 = (12, 5): saw = (1, 0), ship sea = (0, 1), lamp = (-3, 2).
    expect(found!.dense).toEqual({
      query: expect.closeTo(0.7 * 12, 6),
      expansions: [expect.closeTo(0.15 * 5, 6), expect.closeTo(0.15 * -26, 6)],
      score: expect.closeTo(5.25, 6),
    });
  });

  it('embeds and searches each text once, whatever is ranked later', async () => {
    const { explained: own, encoder } = explained();
    await own.rank(QUERY);
    const calls = encoder.calls.length;
    await own.rank({ ...QUERY, alpha: 0.9 });
    await own.rank({ ...QUERY, expansions: ['lamp'] });
    await own.rank({ ...QUERY, expansions: [] });
    expect(encoder.calls.length).toBe(calls);
    await own.rank({ ...QUERY, expansions: ['lamp', 'sea'] });
    expect(encoder.calls.at(-1)).toEqual(['query', 'sea']);
  });

  it('tries again what failed', async () => {
    const { explained: own, encoder } = explained();
    await expect(own.rank({ ...QUERY, expansions: ['unknown'] })).rejects.toThrow('no vector');
    encoder.encode = async (texts) => new Float32Array(2 * texts.length);
    expect((await own.rank({ ...QUERY, expansions: ['unknown'] })).top(1)).toHaveLength(1);
  });

  it('is that of BM25, and the shares of its words sum to the scores', async () => {
    const { search, explained: own } = explained({ queryRepeats: 2 });
    const { text, expansions } = QUERY;
    const expected = await search.search(text, { kind: 'bm25', expansions, top: 5 });
    const ranking = await own.rank({ ...QUERY, kind: 'bm25' });
    expect(ranking.top(5).map(({ id, score }) => ({ id, score }))).toEqual(expected);
    const explanations = await ranking.explain(expected.map(({ id }) => own.placeOf(id)!));
    for (const [at, { score }] of expected.entries()) {
      const { terms } = explanations[at]!.bm25!;
      expect(terms.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(score, 6);
    }
    expect(explanations[0]!.bm25!.terms.map(({ term }) => term)).toEqual(['saw']);
  });

  it('divides the share of a word between query and expansions by how often each holds it', async () => {
    const { explained: own } = explained();
    const asked = { ...QUERY, kind: 'bm25', expansions: ['saw saw saw wood'], queryRepeats: 1 } as const;
    const [found] = await (await own.rank(asked)).explain([own.placeOf('d1')!]);
    const shares = new Map(found!.bm25!.terms.map(({ term, share, ofQuery }) => [term, ofQuery / share]));
    expect(shares).toEqual(
      new Map([
        ['saw', 1 / 4],
        ['wood', 0],
      ]),
    );
  });

  it('is that of the fused retriever, and its shares are the reciprocal ranks', async () => {
    const { search, explained: own } = explained({ fusionWeight: 0.25, alpha: 0.3, queryRepeats: 2 });
    const { text, expansions } = QUERY;
    const expected = await search.search(text, { kind: 'rrf', expansions, top: 5 });
    const ranking = await own.rank({ ...QUERY, kind: 'rrf' });
    const found = ranking.top(5);
    expect(found.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
    const explanations = await ranking.explain(found.map(({ id }) => own.placeOf(id)!));
    for (const [at, { score }] of expected.entries()) {
      const { dense, bm25 } = explanations[at]!.fused!;
      expect((dense?.share ?? 0) + (bm25?.share ?? 0)).toBeCloseTo(score, 9);
      expect(found[at]!.score).toBeCloseTo(score, 7);
    }
  });

  it('knows the rank of every document, also among some of them', async () => {
    const { explained: own } = explained();
    const ranking = await own.rank({ ...QUERY, expansions: [], text: 'ship' });
    const all = ranking.top(5);
    expect(all.map(({ id }) => ranking.rankOf(own.placeOf(id)!))).toEqual([1, 2, 3, 4, 5]);
    // d1 has no part in ship: 0; d5 and d2 are before it.
    const passing = Uint8Array.from(own.ids, (id) => Number(id !== all[0]!.id));
    expect(ranking.top(5, passing).map(({ id, rank }) => `${id} ${rank}`)).toEqual(
      all.slice(1).map(({ id }, at) => `${id} ${at + 1}`),
    );
    expect(ranking.rankOf(own.placeOf(all[0]!.id)!, passing)).toBeUndefined();
    expect(ranking.rankOf(own.placeOf(all[2]!.id)!, passing)).toBe(2);
  });

  it('does not hold what BM25 does not find', async () => {
    const { explained: own } = explained();
    const ranking = await own.rank({ ...QUERY, kind: 'bm25', text: 'lamp', expansions: [] });
    expect(ranking.top(5).map(({ id }) => id)).toEqual(['d5']);
    expect(ranking.rankOf(own.placeOf('d1')!)).toBeUndefined();
  });
});
