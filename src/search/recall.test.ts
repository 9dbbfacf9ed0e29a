import { describe, expect, it } from 'vitest';
import type { ScoredDocument } from '../measures/index.ts';
import { RecallChecked } from './recall.ts';
import type { SearchIndex, SearchOptions } from './search-index.ts';

/** Finds documents by a rule; counts its searches, and remembers the last. */
class RuledIndex implements SearchIndex<Float32Array> {
  readonly size = 1000;
  searches = 0;
  closed = false;
  last: { queries: number[]; k: number; options: SearchOptions | undefined } | undefined;
  readonly #rule: (query: number, rank: number) => string;

  constructor(rule: (query: number, rank: number) => string) {
    this.#rule = rule;
  }

  async search(queries: Float32Array, k: number, options?: SearchOptions): Promise<ScoredDocument[][]> {
    this.searches++;
    this.last = { queries: [...queries], k, options };
    return Array.from(queries, (query) =>
      Array.from({ length: k }, (_none, rank) => ({ id: this.#rule(query, rank), score: -rank })),
    );
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

const exactRule = (_query: number, rank: number) => `d${rank}`;
const options = { dimensions: 1, sample: 50, what: 'Sloppy', facts: { vectors: 'sloppy' } };
/** Misses the first document of even queries, and everything behind rank 49. */
const sloppy = () =>
  new RuledIndex((query, rank) => (rank > 49 || (rank === 0 && query % 2 === 0) ? `x${rank}` : `d${rank}`));

describe('the recall of a run', () => {
  it('is measured once, on its own queries, at 10 and 100', async () => {
    const [index, exact] = [sloppy(), new RuledIndex(exactRule)];
    const checked = new RecallChecked(index, exact, options);
    expect(checked.notes).toEqual(['Sloppy: its recall against exact search in f32 was not measured.']);
    const hits = await checked.search(Float32Array.of(1, 2, 3, 4), 1000);
    expect(hits.at(1)![0]!.id).toBe('x0');
    expect(checked.facts).toEqual({
      vectors: 'sloppy',
      // Two of four queries miss one of ten; of a hundred, 50, 49, 50 and 49 are found.
      'recall@10 against exact f32': 0.95,
      'recall@100 against exact f32': 0.495,
      'queries of that recall': 4,
    });
    expect(checked.notes).toEqual([
      'Sloppy: of what exact search in f32 finds, 95.0 % of the first 10 and 49.5 % of the first 100 are found (4 queries compared).',
    ]);
    await checked.search(Float32Array.of(2, 2), 1000);
    expect(exact.searches).toBe(1);
    expect(exact.last!.k).toBe(100);
    expect(checked.facts['queries of that recall']).toBe(4);
    await checked.close();
    expect(index.closed && exact.closed).toBe(true);
  });

  it('is that of a sample of many queries, with their own documents left out', async () => {
    const exact = new RuledIndex(exactRule);
    const checked = new RecallChecked(sloppy(), exact, { ...options, sample: 5 });
    const dropSelf = Array.from({ length: 200 }, (_none, row) => `q${row}`);
    await checked.search(
      Float32Array.from({ length: 200 }, (_none, row) => row),
      100,
      { dropSelf },
    );
    const { queries, options: asked } = exact.last!;
    expect(new Set(queries).size).toBe(5);
    expect(asked!.dropSelf).toEqual(queries.map((row) => `q${row}`));
    expect(queries).not.toEqual([0, 1, 2, 3, 4]);
  });

  it('has only cutoffs that the search reaches', async () => {
    const checked = new RecallChecked(sloppy(), new RuledIndex(exactRule), options);
    await checked.search(Float32Array.of(1), 20);
    expect(Object.keys(checked.facts)).toEqual(['vectors', 'recall@10 against exact f32', 'queries of that recall']);
  });

  it('is not measured where none is wanted', async () => {
    const exact = new RuledIndex(exactRule);
    const checked = new RecallChecked(sloppy(), exact, { ...options, sample: 0 });
    await checked.search(Float32Array.of(1), 20);
    expect(exact.searches).toBe(0);
    expect(checked.facts).toEqual({ vectors: 'sloppy' });
  });

  it('is measured by the next search if the exact one fails', async () => {
    const exact = new RuledIndex(exactRule);
    const checked = new RecallChecked(sloppy(), exact, options);
    const search = exact.search.bind(exact);
    exact.search = async () => {
      throw new Error('broken');
    };
    await expect(checked.search(Float32Array.of(1), 20)).rejects.toThrow('broken');
    exact.search = search;
    await checked.search(Float32Array.of(1), 20);
    expect(checked.facts['queries of that recall']).toBe(1);
  });
});
