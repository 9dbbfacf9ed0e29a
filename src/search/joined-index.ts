import { compareDocumentIds, type HitRows, type ScoredDocument } from '../measures/index.ts';
import { checkSearch, type SearchIndex, type SearchOptions } from './search-index.ts';

/** An index over a part of a corpus. */
export interface JoinedPart {
  index: SearchIndex<Float32Array>;
  /** Ids of documents that were deleted from this part; another part may hold them. */
  deleted: ReadonlySet<string>;
}

/** Searches several indexes, each over a part of the corpus, and ranks what they find together. */
export class JoinedIndex implements SearchIndex<Float32Array> {
  readonly #parts: readonly JoinedPart[];
  readonly #dimensions: number;

  constructor(parts: readonly JoinedPart[], dimensions: number) {
    [this.#parts, this.#dimensions] = [parts, dimensions];
  }

  get size(): number {
    return this.#parts.reduce((sum, { index, deleted }) => sum + index.size - deleted.size, 0);
  }

  get facts(): Record<string, string | number | boolean> {
    return { ...this.#parts[0]?.index.facts, 'parts of the index': this.#parts.length };
  }

  async search(
    queries: Float32Array,
    k: number,
    { dropSelf, onQueries, signal }: SearchOptions = {},
  ): Promise<HitRows> {
    const count = queries.length / this.#dimensions;
    checkSearch(count, k, dropSelf);
    const found = Array.from({ length: count }, (): ScoredDocument[] => []);
    for (const { index, deleted } of this.#parts) {
      // So many more that enough are left, whichever were deleted.
      const lists = await index.search(queries, k + deleted.size + (dropSelf === undefined ? 0 : 1), { signal });
      for (const [row, list] of found.entries()) {
        const self = dropSelf?.[row];
        list.push(...lists.at(row)!.filter(({ id }) => id !== self && !deleted.has(id)));
      }
    }
    onQueries?.(count);
    const inOrder = (a: ScoredDocument, b: ScoredDocument) => b.score - a.score || compareDocumentIds(b.id, a.id);
    return found.map((list) => list.sort(inOrder).slice(0, k));
  }

  async close(): Promise<void> {
    for (const { index } of this.#parts) await index.close?.();
  }
}
