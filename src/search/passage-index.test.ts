import { describe, expect, it } from 'vitest';
import { compareDocumentIds } from '../measures/index.ts';
import { Random } from '../system/index.ts';
import { ExactIndex } from './dense/exact-index.ts';
import { MemoryVectors } from './dense/vector-source.ts';
import { PassageIndex } from './passage-index.ts';

const documentOf = (id: string) => ({ id: id.split(' ')[0]!, passage: Number(id.split(' ')[1]) });

async function open(ids: string[], vectors: number[], documents: number): Promise<PassageIndex> {
  const exact = await ExactIndex.open(new MemoryVectors(ids, Float32Array.from(vectors), 2), { threads: 1 });
  return new PassageIndex(exact, { passages: '2/0', documents, dimensions: 2, documentOf });
}

describe('PassageIndex', () => {
  it('ranks documents by their best passage, equal ones by id, and says which passage it is', async () => {
    const index = await open(['a 0', 'a 1', 'b 0', 'c 0', 'c 1'], [1, 0, 3, 0, 2, 0, 0, 0, 2, 0], 3);
    expect([...(await index.search(Float32Array.of(1, 0), 3))]).toEqual([
      [
        { id: 'a', score: 3, passage: 1 },
        { id: 'c', score: 2, passage: 1 },
        { id: 'b', score: 2, passage: 0 },
      ],
    ]);
    expect(index.size).toBe(3);
    expect(index.facts).toMatchObject({ passages: '2/0', 'number of passages': 5 });
    await index.close();
  });

  it('drops the query itself, and still finds as many others', async () => {
    const index = await open(['a 0', 'a 1', 'b 0', 'c 0'], [3, 0, 3, 0, 2, 0, 1, 0], 3);
    const [hits] = [...(await index.search(Float32Array.of(1, 0), 2, { dropSelf: ['a'] }))];
    expect(hits!.map(({ id }) => id)).toEqual(['b', 'c']);
    await index.close();
  });

  it('equals the ranking of all passages, whatever the depth and however unequal the documents', async () => {
    const random = new Random(7);
    const ids: string[] = [];
    const vectors: number[] = [];
    for (let document = 0; document < 60; document++) {
      const passages = document % 10 === 0 ? 40 : 1 + (document % 3);
      for (let passage = 0; passage < passages; passage++) {
        ids.push(`d${document} ${passage}`);
        // Whole numbers make many ties; long documents hold the best passages.
        const most = document % 10 === 0 ? 9 : 6;
        vectors.push(random.below(most), random.below(most));
      }
    }
    const index = await open(ids, vectors, 60);
    const queries = Float32Array.from({ length: 40 }, () => random.below(4));
    for (const k of [1, 2, 5, 20, 59, 60, 100]) {
      const hits = [...(await index.search(queries, k))];
      for (const [row, found] of hits.entries()) {
        const best = new Map<string, number>();
        for (const [at, id] of ids.entries()) {
          const score = queries[2 * row]! * vectors[2 * at]! + queries[2 * row + 1]! * vectors[2 * at + 1]!;
          const document = documentOf(id).id;
          best.set(document, Math.max(score, best.get(document) ?? 0));
        }
        const expected = [...best].sort(([a, x], [b, y]) => y - x || compareDocumentIds(b, a)).slice(0, k);
        expect(found.map(({ id, score }) => [id, score])).toEqual(expected);
      }
    }
    await index.close();
  });
});
