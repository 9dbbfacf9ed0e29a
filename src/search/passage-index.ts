import type { HitRows, ScoredDocument } from '../measures/index.ts';
import { compareDocumentIds } from '../measures/index.ts';
import { checkSearch, type SearchIndex, type SearchOptions } from './search-index.ts';

export interface PassageIndexOptions {
  /** How documents were divided, for reports: `200/50`. */
  passages: string;
  /** Number of documents, and of dimensions of their passages' vectors. */
  documents: number;
  dimensions: number;
  /** Returns the document and the number of a passage, by the id that the index gives it. */
  documentOf(passageId: string): { id: string; passage: number };
}

/** Passages to ask for, per document that is wanted, at the first attempt; and how many times more at each further one. */
const FIRST_SHARE = 2;
const GROWTH = 4;

/**
 * Ranks documents by their best passage (MaxP; Dai and Callan 2019, arXiv 1905.09217), over an index of passages. It asks for more passages until
 * every wanted document is certain, so the ranking is that of all passages.
 */
export class PassageIndex implements SearchIndex<Float32Array> {
  readonly #passages: SearchIndex<Float32Array>;
  readonly #options: PassageIndexOptions;

  /** @param passages closed with this index */
  constructor(passages: SearchIndex<Float32Array>, options: PassageIndexOptions) {
    [this.#passages, this.#options] = [passages, options];
  }

  get size(): number {
    return this.#options.documents;
  }

  get facts(): Record<string, string | number | boolean> {
    return { ...this.#passages.facts, passages: this.#options.passages, 'number of passages': this.#passages.size };
  }

  get notes(): readonly string[] {
    return this.#passages.notes ?? [];
  }

  get checkMilliseconds(): number {
    return this.#passages.checkMilliseconds ?? 0;
  }

  async search(queries: Float32Array, k: number, options: SearchOptions = {}): Promise<HitRows> {
    const { dimensions } = this.#options;
    const { dropSelf, signal, onQueries } = options;
    const count = queries.length / dimensions;
    checkSearch(count, k, dropSelf);
    const wanted = Math.min(this.size, dropSelf === undefined ? k : k + 1);
    const found = new Array<ScoredDocument[]>(count);
    let open = Array.from({ length: count }, (_none, row) => row);
    for (let depth = wanted * FIRST_SHARE; open.length > 0; depth *= GROWTH) {
      const most = Math.min(depth, this.#passages.size);
      const lists = await this.#passages.search(rowsOf(queries, open, dimensions), Math.max(1, most), { signal });
      const uncertain: number[] = [];
      for (const [at, row] of open.entries()) {
        const best = this.#bestOf(lists.at(at)!, wanted, most === this.#passages.size);
        if (best === undefined) uncertain.push(row);
        else found[row] = best.filter(({ id }) => id !== dropSelf?.[row]).slice(0, k);
      }
      onQueries?.(open.length - uncertain.length);
      open = uncertain;
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#passages.close?.();
  }

  /**
   * Returns the best documents of a list of passages; undefined if passages that it lacks could be among the best of another document.
   * @param isAll whether the list holds every passage that can be found
   */
  #bestOf(passages: readonly ScoredDocument[], wanted: number, isAll: boolean): ScoredDocument[] | undefined {
    const best = new Map<string, ScoredDocument>();
    for (const { id: passageId, score } of passages) {
      const { id, passage } = this.#options.documentOf(passageId);
      const before = best.get(id);
      // Of equal passages the first one counts, in whatever order they come.
      if (before === undefined || (before.score === score && passage < before.passage!)) {
        best.set(id, { id, score, passage });
      }
    }
    const documents = [...best.values()].sort((a, b) => b.score - a.score || compareDocumentIds(b.id, a.id));
    const last = passages.at(-1)?.score ?? Number.NEGATIVE_INFINITY;
    const isCertain = isAll || (documents.length >= wanted && documents[wanted - 1]!.score > last);
    return isCertain ? documents.slice(0, wanted) : undefined;
  }
}

function rowsOf(queries: Float32Array, rows: readonly number[], dimensions: number): Float32Array {
  if (rows.length * dimensions === queries.length) return queries;
  const some = new Float32Array(rows.length * dimensions);
  for (const [at, row] of rows.entries()) {
    some.set(queries.subarray(row * dimensions, (row + 1) * dimensions), at * dimensions);
  }
  return some;
}
