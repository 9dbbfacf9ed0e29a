import { describe, expect, it } from 'vitest';
import { fiveDocuments } from '../../test/support/five-documents.ts';

/** The five documents of test/support/five-documents.ts. */
const open = await fiveDocuments();
const QUERIES = [
  { id: 'q1', text: 'saw', expansions: [] },
  { id: 'q2', text: 'ship', expansions: [] },
];
const OPTIONS = { depth: 10, dropSelf: false };

describe('the index of document vectors', () => {
  it.each(['f16', 'int8'] as const)('that stores %s says so, with the recall of this run', async (vectors) => {
    const search = open({ vectors });
    const retriever = await search.retriever('dense');
    const { run } = await retriever.retrieve(QUERIES, OPTIONS);
    // Query "saw" is (1, 0): the first coordinate of each document.
    const scores = run.get('q1')!.map(({ id, score }) => [id, Math.round(10 * score) / 10]);
    expect(scores).toEqual([
      ['d5', 12],
      ['d1', 4],
      ['d2', 3],
      ['d3', 0],
      ['d4', -3],
    ]);
    expect(retriever.settings).toMatchObject({
      vectors,
      'recall@10 against exact f32': 1,
      'queries of that recall': 2,
    });
    expect(retriever.notes).toEqual([expect.stringContaining(`Vectors stored as ${vectors}: of what exact search`)]);
    await search.close();
  });

  it('that is exact in f32 has nothing to tell', async () => {
    const search = open();
    const retriever = await search.retriever('dense');
    await retriever.retrieve(QUERIES, OPTIONS);
    expect(retriever.notes).toEqual([]);
    expect(Object.keys(retriever.settings).filter((name) => /recall|vectors/.test(name))).toEqual([]);
    await search.close();
  });

  it('states no recall where none is measured', async () => {
    const search = open({ vectors: 'int8', recallSample: 0 });
    const retriever = await search.retriever('dense');
    await retriever.retrieve(QUERIES, OPTIONS);
    expect(retriever.notes).toEqual([
      'Vectors stored as int8: its recall against exact search in f32 was not measured.',
    ]);
    await search.close();
  });
});
