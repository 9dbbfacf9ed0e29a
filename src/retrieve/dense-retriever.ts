import type { Encoder, TextRole } from '../embed/index.ts';
import { TypedRun } from '../measures/index.ts';
import { combineQueryVectors, type SearchIndex } from '../search/index.ts';
import type { ExpandedQuery, Retrieval, RetrieveOptions, Retriever } from './retriever.ts';

export interface DenseSettings {
  /** Weight of the expansions' mean vector: (1 - alpha)·E(query) + alpha·mean E(expansions). */
  alpha: number;
  /** The role, and so the prefix, under which an expansion is embedded. */
  expansionRole: TextRole;
  similarity: 'dot' | 'cosine';
}

/** Searches by the mean of query and expansion vectors (the method's stage 12). */
export class DenseRetriever implements Retriever {
  readonly name = 'dense';
  readonly #encoder: Encoder;
  readonly #index: SearchIndex<Float32Array>;
  readonly #settings: DenseSettings;

  constructor(encoder: Encoder, index: SearchIndex<Float32Array>, settings: DenseSettings) {
    this.#encoder = encoder;
    this.#index = index;
    this.#settings = settings;
  }

  get size(): number {
    return this.#index.size;
  }

  get settings(): Record<string, string | number | boolean> {
    const { alpha, expansionRole, similarity } = this.#settings;
    const encoder = { encoder: this.#encoder.id, 'encoder key': this.#encoder.fingerprint, ...this.#encoder.settings };
    return { ...encoder, similarity, alpha, 'expansion role': expansionRole };
  }

  async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
    const started = performance.now();
    const vectors = await this.#embed(queries, options.signal);
    const encoded = performance.now();
    const ids = queries.map(({ id }) => id);
    const hits = await this.#index.search(vectors, options.depth, {
      signal: options.signal,
      ...(options.dropSelf && { dropSelf: ids }),
    });
    return {
      run: new TypedRun(ids, hits),
      encodeMilliseconds: encoded - started,
      searchMilliseconds: performance.now() - encoded,
    };
  }

  /** One vector a query // [queries, dimensions] */
  async #embed(queries: readonly ExpandedQuery[], signal: AbortSignal | undefined): Promise<Float32Array> {
    const queryVectors = await this.#encoder.encode(
      queries.map(({ text }) => text),
      'query',
      { signal },
    );
    const counts = queries.map(({ expansions }) => expansions.length);
    const passages = queries.flatMap(({ expansions }) => expansions);
    if (passages.length === 0) return queryVectors;
    const passageVectors = await this.#encoder.encode(passages, this.#settings.expansionRole, { signal });
    return combineQueryVectors(queryVectors, passageVectors, counts, {
      dimensions: this.#encoder.dimensions,
      alpha: this.#settings.alpha,
    });
  }

  async close(): Promise<void> {}
}
