import { TypedRun } from '../measures/index.ts';
import { type AnalyzerName, type Bm25Index, type QueryRepeats, repeatQuery } from '../search/index.ts';
import { type ExpandedQuery, type Retrieval, type RetrieveOptions, type Retriever, selvesToDrop } from './retriever.ts';

export interface LexicalSettings {
  /** How often the query is repeated before its expansions. */
  queryRepeats: QueryRepeats;
  /** Settings of the index, for reports. */
  k1: number;
  b: number;
  analyzer: AnalyzerName;
}

/** BM25; an expanded query is the query repeated, then its expansions. */
export class LexicalRetriever implements Retriever {
  readonly name = 'bm25';
  readonly notes = [];
  readonly #index: Bm25Index;
  readonly #settings: LexicalSettings;

  constructor(index: Bm25Index, settings: LexicalSettings) {
    this.#index = index;
    this.#settings = settings;
  }

  get size(): number {
    return this.#index.size;
  }

  get settings(): Record<string, string | number | boolean> {
    const { k1, b, analyzer, queryRepeats } = this.#settings;
    return { k1, b, analyzer, 'query repeats': queryRepeats };
  }

  async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
    const started = performance.now();
    const texts = queries.map(({ text, expansions }) => repeatQuery(text, expansions, this.#settings.queryRepeats));
    const ids = queries.map(({ id }) => id);
    const hits = await this.#index.search(texts, options.depth, {
      signal: options.signal,
      dropSelf: selvesToDrop(queries, options),
    });
    return { run: new TypedRun(ids, hits), encodeMilliseconds: 0, searchMilliseconds: performance.now() - started };
  }
}
