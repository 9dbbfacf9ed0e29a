import type { Encoder, TextRole } from '../embed/index.ts';
import { TypedRun } from '../measures/index.ts';
import { combineQueryVectors, type SearchIndex } from '../search/index.ts';
import { type ExpandedQuery, type Retrieval, type RetrieveOptions, type Retriever, selvesToDrop } from './retriever.ts';

export interface DenseSettings {
  /** Weight of the expansions' mean vector: (1 - alpha)·E(query) + alpha·mean E(expansions). */
  alpha: number;
  /** Whether an expansion is embedded as a query or as a document, with the prefix for it. */
  expansionRole: TextRole;
  similarity: 'dot' | 'cosine';
}

/** Queries and their expansions as vectors, not yet combined. */
interface EmbeddedQueries {
  /** // [queries, dimensions] */
  vectors: Float32Array;
  /** The expansions of all queries, in the order of the queries // [sum of counts, dimensions] */
  expansions: Float32Array;
  /** Number of expansions of each query // [queries] */
  counts: number[];
}

/** Searches by the mean of query and expansion vectors (the method's stage 12). */
export class DenseRetriever implements Retriever {
  readonly name = 'dense';
  readonly #encoder: Encoder;
  readonly #index: SearchIndex<Float32Array>;
  readonly #settings: DenseSettings;
  readonly notes: readonly string[];

  constructor(
    encoder: Encoder,
    index: SearchIndex<Float32Array>,
    settings: DenseSettings,
    notes: readonly string[] = [],
  ) {
    this.#encoder = encoder;
    this.#index = index;
    this.#settings = settings;
    this.notes = notes;
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
    const vectors = this.#combine(await this.#embed(queries, options.signal), this.#settings.alpha);
    const encoded = performance.now();
    const ids = queries.map(({ id }) => id);
    const hits = await this.#index.search(vectors, options.depth, {
      signal: options.signal,
      dropSelf: selvesToDrop(queries, options),
    });
    return {
      run: new TypedRun(ids, hits),
      encodeMilliseconds: encoded - started,
      searchMilliseconds: performance.now() - encoded,
    };
  }

  /**
   * Returns one run per alpha, instead of the alpha in the settings. Each text is embedded once, and one pass over the corpus
   * searches the vectors of all alphas together; those of queries without expansions only once.
   */
  async retrieveAlphas(
    queries: readonly ExpandedQuery[],
    alphas: readonly number[],
    options: RetrieveOptions,
  ): Promise<TypedRun[]> {
    const { signal } = options;
    const plain = queries.filter(({ expansions }) => expansions.length === 0);
    const expanded = queries.filter(({ expansions }) => expansions.length > 0);
    const texts = await this.#embed([...plain, ...expanded], signal);
    const { dimensions } = this.#encoder;
    const vectors = new Float32Array((plain.length + alphas.length * expanded.length) * dimensions);
    for (const [at, alpha] of alphas.entries()) {
      const combined = this.#combine(texts, alpha);
      if (at === 0) vectors.set(combined.subarray(0, plain.length * dimensions));
      const start = plain.length + at * expanded.length;
      vectors.set(combined.subarray(plain.length * dimensions), start * dimensions);
    }
    const searched = [...plain, ...alphas.flatMap(() => expanded)];
    const dropSelf = selvesToDrop(searched, options);
    const hits = await this.#index.search(vectors, options.depth, { signal, dropSelf });
    const rows = new Map([...plain, ...expanded].map((query, row) => [query, row]));
    return alphas.map((_alpha, at) => {
      const placeOf = (row: number) => (row < plain.length ? row : row + at * expanded.length);
      return new TypedRun(
        queries.map(({ id }) => id),
        { at: (query) => hits.at(placeOf(rows.get(queries[query]!)!)) },
      );
    });
  }

  /** Embeds each text once. */
  async #embed(queries: readonly ExpandedQuery[], signal: AbortSignal | undefined): Promise<EmbeddedQueries> {
    const texts = queries.map(({ text }) => text);
    const passages = queries.flatMap(({ expansions }) => expansions);
    const counts = queries.map(({ expansions }) => expansions.length);
    const vectors = await this.#encoder.encode(texts, 'query', { signal });
    if (passages.length === 0) return { vectors, expansions: new Float32Array(0), counts };
    const expansions = await this.#encoder.encode(passages, this.#settings.expansionRole, { signal });
    return { vectors, expansions, counts };
  }

  /** Returns one vector per query // [queries, dimensions] */
  #combine({ vectors, expansions, counts }: EmbeddedQueries, alpha: number): Float32Array {
    return combineQueryVectors(vectors, expansions, counts, { dimensions: this.#encoder.dimensions, alpha });
  }
}
