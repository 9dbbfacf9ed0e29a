import { describe, expect, it } from 'vitest';
import { fiveDocuments } from '../../test/support/five-documents.ts';
import { PgliteServer } from '../../test/support/pglite-server.ts';
import { checkFeedback } from './feedback.ts';
import { defaultRetrievalSettings } from './settings.ts';

const open = await fiveDocuments();
const queries = ['saw', 'ship sea', 'lamp saw saw', 'turn'].map((text, at) => ({
  ...{ id: `q${at}`, text, expansions: at === 0 ? ['sea lamp'] : [] },
}));

describe('--bm25-index', () => {
  it('searches in an engine, alone and fused, and gives the runs of BM25 here', async () => {
    const server = await PgliteServer.start();
    try {
      const bm25Index = `postgres://postgres:secret-word@127.0.0.1:${server.port}/postgres`;
      const [remote, local] = [open({ bm25Index }), open()];
      for (const kind of ['bm25', 'rrf'] as const) {
        const [there, here] = [await remote.retriever(kind), await local.retriever(kind)];
        const options = { depth: 10, dropSelf: false };
        const [found, wanted] = [await there.retrieve(queries, options), await here.retrieve(queries, options)];
        for (const { id } of queries) {
          const ranked = found.run.get(id)!;
          expect(ranked.map((hit) => hit.id)).toEqual(wanted.run.get(id)!.map((hit) => hit.id));
          for (const [rank, { score }] of ranked.entries()) {
            expect(score).toBeCloseTo(wanted.run.get(id)![rank]!.score, 5);
          }
        }
        expect(there.size).toBe(5);
        expect(there.settings['BM25 index']).toMatch(/^PostgreSQL/);
        expect(here.settings).not.toHaveProperty('BM25 index');
      }
      expect(await remote.idfsOf(['saw tree'])).toEqual(await local.idfsOf(['saw tree']));
      expect(await remote.missingDocuments(new Set(['d1', 'd9']))).toEqual(['d9']);
      // The lists of this machine are there for what explains scores.
      expect((await remote.lexicalIndex()).size).toBe(5);
      await Promise.all([remote.close(), local.close()]);
    } finally {
      await server.stop();
    }
  });

  it('hides secrets, and refuses what is no place for BM25', () => {
    const { bm25Index } = defaultRetrievalSettings({ bm25Index: 'milvus:http://me:secret-word@h:19530/docs' });
    expect(bm25Index).toBe('milvus:http://***@h:19530/docs');
    expect(() => defaultRetrievalSettings({ bm25Index: 'exact' })).toThrow(
      /neither local nor the address of an engine/,
    );
    expect(() => defaultRetrievalSettings({ bm25Index: 'milvus:http://h:1?search=hnsw' })).toThrow(/search=hnsw/);
  });

  it("refuses feedback that reads BM25's lists", () => {
    const settings = defaultRetrievalSettings({ bm25Index: 'milvus:http://h:19530', feedback: 'rm3' });
    expect(() => checkFeedback(settings, 'bm25')).toThrow(/--feedback rm3 reads BM25's lists here/);
    checkFeedback({ ...settings, bm25Index: 'local' }, 'bm25');
  });
});
