import type { Run } from '../measures/index.ts';
import { type FusionName, fuseRuns } from '../search/index.ts';
import type { ExpandedQuery, Retrieval, RetrieveOptions, Retriever } from './retriever.ts';

/** How the runs of two retrievers become one. */
export interface FusionSettings {
  fusion: FusionName;
  /** Weight of the dense run; BM25's has the rest. */
  fusionWeight: number;
  /** The constant of 1 / (k + rank) (Cormack, Clarke and Büttcher 2009 use 60). */
  rrfK: number;
}

/** Fuses a dense run with one of BM25, both searched to the same depth. */
export function fuseDenseAndLexical(
  dense: Run,
  lexical: Run,
  { fusion, fusionWeight, rrfK }: FusionSettings,
  depth: number,
): Run {
  return fuseRuns([dense, lexical], { fusion, weights: [fusionWeight, 1 - fusionWeight], k: rrfK, depth });
}

/** Searches with vectors and with BM25, and fuses both runs. */
export class FusedRetriever implements Retriever {
  readonly name = 'rrf';
  readonly #dense: Retriever;
  readonly #lexical: Retriever;
  readonly #fusion: FusionSettings;

  constructor(dense: Retriever, lexical: Retriever, fusion: FusionSettings) {
    this.#dense = dense;
    this.#lexical = lexical;
    this.#fusion = fusion;
  }

  get size(): number {
    return this.#dense.size;
  }

  get settings(): Record<string, string | number | boolean> {
    const { fusion, fusionWeight, rrfK } = this.#fusion;
    const own = { fusion, 'fusion weight': fusionWeight, ...(fusion === 'rrf' && { 'rrf k': rrfK }) };
    return { ...own, ...this.#dense.settings, ...this.#lexical.settings };
  }

  get notes(): readonly string[] {
    return [...this.#dense.notes, ...this.#lexical.notes];
  }

  async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
    const dense = await this.#dense.retrieve(queries, options);
    const lexical = await this.#lexical.retrieve(queries, options);
    const started = performance.now();
    const run = fuseDenseAndLexical(dense.run, lexical.run, this.#fusion, options.depth);
    return {
      ...{ run, dense: dense.run },
      encodeMilliseconds: dense.encodeMilliseconds + lexical.encodeMilliseconds,
      searchMilliseconds: dense.searchMilliseconds + lexical.searchMilliseconds + performance.now() - started,
    };
  }
}
