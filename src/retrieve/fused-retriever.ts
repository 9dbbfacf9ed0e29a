import { fuseRuns } from '../search/index.ts';
import type { ExpandedQuery, Retrieval, RetrieveOptions, Retriever } from './retriever.ts';

/** Reciprocal-rank fusion of other retrievers' runs, searched to the same depth. */
export class FusedRetriever implements Retriever {
  readonly name = 'rrf';
  readonly #parts: readonly [Retriever, ...Retriever[]];
  readonly #k: number;

  /** @param k the constant of 1 / (k + rank) (Cormack, Clarke and Büttcher 2009 use 60) */
  constructor(parts: readonly [Retriever, ...Retriever[]], k: number) {
    this.#parts = parts;
    this.#k = k;
  }

  get size(): number {
    return this.#parts[0].size;
  }

  get settings(): Record<string, string | number | boolean> {
    return Object.assign({ 'rrf k': this.#k }, ...this.#parts.map(({ settings }) => settings));
  }

  get notes(): readonly string[] {
    return this.#parts.flatMap(({ notes }) => notes);
  }

  async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
    const retrievals: Retrieval[] = [];
    for (const part of this.#parts) retrievals.push(await part.retrieve(queries, options));
    const started = performance.now();
    const run = fuseRuns(
      retrievals.map((retrieval) => retrieval.run),
      { k: this.#k, depth: options.depth },
    );
    const sum = (pick: (retrieval: Retrieval) => number) => retrievals.reduce((total, one) => total + pick(one), 0);
    return {
      run,
      encodeMilliseconds: sum((one) => one.encodeMilliseconds),
      searchMilliseconds: sum((one) => one.searchMilliseconds) + performance.now() - started,
    };
  }
}
