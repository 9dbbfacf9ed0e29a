import { combineQueryVectors, type SearchIndex } from '../search/index.ts';
import { throwIfAborted } from '../system/index.ts';
import type { Feedback } from './feedback.ts';

/** Queries whose first documents are in memory at one time. */
const QUERIES_AT_A_TIME = 1024;

/** The vectors of a corpus, for reading a few of them. */
export interface DocumentVectors {
  readonly dimensions: number;
  /** Document ids, by row. */
  readonly ids: readonly string[];
  /** Reads single rows, in any order // [rows, dimensions] */
  pick(rows: readonly number[]): Promise<Float32Array>;
}

/**
 * Relevance feedback with vectors (Li et al. 2021, arXiv 2108.11044): searches once, and moves each query towards the mean of its
 * first documents.
 */
export class VectorFeedback {
  readonly #index: SearchIndex<Float32Array>;
  readonly #documents: DocumentVectors;
  readonly #feedback: Feedback;

  constructor(index: SearchIndex<Float32Array>, documents: DocumentVectors, feedback: Feedback) {
    this.#index = index;
    this.#documents = documents;
    this.#feedback = feedback;
  }

  /**
   * Returns the vectors of the second search: (1 - weight)·query + weight·mean of the first documents // [queries, dimensions]
   * @param queries // [queries, dimensions]
   * @throws AbortedError
   */
  async expand(queries: Float32Array, signal: AbortSignal | undefined): Promise<Float32Array> {
    const { dimensions } = this.#documents;
    const { documents, weight: alpha } = this.#feedback;
    const hits = await this.#index.search(queries, documents, { signal });
    const rows = this.#rowsOf(new Set(Array.from(hits, (list) => list.map(({ id }) => id)).flat()));
    const expanded = new Float32Array(queries.length);
    for (let first = 0; first < hits.length; first += QUERIES_AT_A_TIME) {
      throwIfAborted(signal);
      const count = Math.min(QUERIES_AT_A_TIME, hits.length - first);
      const lists = Array.from({ length: count }, (_nothing, at) => hits.at(first + at)!);
      const vectors = await this.#documents.pick(lists.flatMap((list) => list.map(({ id }) => rows.get(id)!)));
      const block = queries.subarray(first * dimensions, (first + count) * dimensions);
      const counts = lists.map(({ length }) => length);
      expanded.set(combineQueryVectors(block, vectors, counts, { dimensions, alpha }), first * dimensions);
    }
    return expanded;
  }

  /** Returns the rows of some documents by id, in one pass over all ids. */
  #rowsOf(wanted: ReadonlySet<string>): Map<string, number> {
    const rows = new Map<string, number>();
    for (const [row, id] of this.#documents.ids.entries()) if (wanted.has(id)) rows.set(id, row);
    return rows;
  }
}
