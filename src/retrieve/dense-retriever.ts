import type { Encoder } from '../embed/index.ts';
import { TypedRun } from '../measures/index.ts';
import type { SearchIndex } from '../search/index.ts';
import {
  combineVectors,
  type DenseSettings,
  type EmbeddedQueries,
  embedQueries,
  encodeQueries,
} from './encode-queries.ts';
import { describeFeedback, type Feedback, isVectorFeedback, repeatQueries } from './feedback.ts';
import { type ExpandedQuery, type Retrieval, type RetrieveOptions, type Retriever, selvesToDrop } from './retriever.ts';
import { type DocumentVectors, VectorFeedback } from './vector-feedback.ts';

/** A way to combine queries and expansions that is tried among others. */
export interface Weighting {
  /** Weight of the expansions. */
  alpha: number;
  /** Number of expansions to use, from the first; default all. */
  texts?: number | undefined;
}

export interface DenseOptions {
  feedback?: Feedback | undefined;
  /** The vectors of the corpus, for feedback. */
  documents?: DocumentVectors | undefined;
  /** Sentences for reports; see {@link Retriever.notes}. */
  notes?: readonly string[] | undefined;
}

/** Searches by the mean of query and expansion vectors (the method's stage 12). */
export class DenseRetriever implements Retriever {
  readonly name = 'dense';
  readonly #encoder: Encoder;
  readonly #index: SearchIndex<Float32Array>;
  readonly #settings: DenseSettings;
  readonly #feedback: Feedback | undefined;
  readonly #vectorFeedback: VectorFeedback | undefined;
  readonly #notes: readonly string[];

  /** @param notes of the vectors */
  constructor(
    encoder: Encoder,
    index: SearchIndex<Float32Array>,
    settings: DenseSettings,
    { feedback, documents, notes = [] }: DenseOptions = {},
  ) {
    this.#encoder = encoder;
    this.#index = index;
    this.#settings = settings;
    this.#feedback = feedback;
    this.#notes = notes;
    if (feedback !== undefined && documents !== undefined && isVectorFeedback(feedback)) {
      this.#vectorFeedback = new VectorFeedback(index, documents, feedback);
    }
  }

  get notes(): readonly string[] {
    return [...this.#notes, ...(this.#index.notes ?? [])];
  }

  get size(): number {
    return this.#index.size;
  }

  get settings(): Record<string, string | number | boolean> {
    const { alpha, expansionRole, similarity } = this.#settings;
    const encoder = { encoder: this.#encoder.id, 'encoder key': this.#encoder.fingerprint, ...this.#encoder.settings };
    const own = { similarity, ...this.#index.facts, alpha, 'expansion role': expansionRole };
    return { ...encoder, ...own, ...describeFeedback(this.#feedback) };
  }

  async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
    const started = performance.now();
    const vectors = await encodeQueries(
      this.#encoder,
      repeatQueries(queries, this.#feedback),
      this.#settings,
      options.signal,
    );
    const encoded = performance.now();
    const checks = () => this.#index.checkMilliseconds ?? 0;
    const before = checks();
    const ids = queries.map(({ id }) => id);
    const hits = await this.#index.search(await this.#refine(vectors, options.signal), options.depth, {
      signal: options.signal,
      dropSelf: selvesToDrop(queries, options),
    });
    const run = new TypedRun(ids, hits);
    return {
      ...{ run, dense: run },
      encodeMilliseconds: encoded - started,
      searchMilliseconds: performance.now() - encoded - (checks() - before),
    };
  }

  /**
   * Returns one run per weighting, instead of the alpha in the settings. Each text is embedded once, and one pass over the corpus
   * searches the vectors of all weightings together; each query without expansions, or without weight for them, only once.
   */
  async retrieveWeighted(
    queries: readonly ExpandedQuery[],
    weightings: readonly Weighting[],
    options: RetrieveOptions,
  ): Promise<TypedRun[]> {
    const { signal } = options;
    const weighted = weightings.filter((one) => !isRaw(one));
    const needsRaw = weighted.length < weightings.length;
    const rows = queries.map((_query, row) => row);
    const plain = rows.filter((row) => needsRaw || queries[row]!.expansions.length === 0);
    const expanded = rows.filter((row) => queries[row]!.expansions.length > 0);
    const texts = await this.embed(queries, signal);
    const { dimensions } = this.#encoder;
    const vectors = new Float32Array((plain.length + weighted.length * expanded.length) * dimensions);
    const copyRows = (from: Float32Array, some: readonly number[], start: number) => {
      for (const [at, row] of some.entries())
        vectors.set(from.subarray(row * dimensions, (row + 1) * dimensions), (start + at) * dimensions);
    };
    copyRows(texts.vectors, plain, 0);
    for (const [at, { alpha, texts: most }] of weighted.entries()) {
      const combined = combineVectors(this.#encoder, firstExpansions(texts, most, dimensions), alpha);
      copyRows(combined, expanded, plain.length + at * expanded.length);
    }
    const searched = [plain, ...weighted.map(() => expanded)].flatMap((some) => some.map((row) => queries[row]!));
    const hits = await this.#index.search(await this.#refine(vectors, signal), options.depth, {
      signal,
      dropSelf: selvesToDrop(searched, options),
    });
    const [plainPlaces, expandedPlaces] = [placesOf(plain), placesOf(expanded)];
    const ids = queries.map(({ id }) => id);
    return weightings.map((weighting) => {
      const start = plain.length + weighted.indexOf(weighting) * expanded.length;
      const placeOf = (row: number) => {
        const place = isRaw(weighting) ? undefined : expandedPlaces.get(row);
        return place === undefined ? plainPlaces.get(row)! : start + place;
      };
      return new TypedRun(ids, { at: (row) => hits.at(placeOf(row)) });
    });
  }

  /** Embeds the queries and their expansions, each text once. */
  embed(queries: readonly ExpandedQuery[], signal?: AbortSignal): Promise<EmbeddedQueries> {
    return embedQueries(this.#encoder, repeatQueries(queries, this.#feedback), this.#settings.expansionRole, signal);
  }

  /** Returns the vectors that are searched in the end: those of the queries, or what feedback makes of them. */
  #refine(vectors: Float32Array, signal: AbortSignal | undefined): Promise<Float32Array> | Float32Array {
    return this.#vectorFeedback?.expand(vectors, signal) ?? vectors;
  }
}

function isRaw({ alpha, texts }: Weighting): boolean {
  return alpha === 0 || texts === 0;
}

function placesOf(rows: readonly number[]): Map<number, number> {
  return new Map(rows.map((row, place) => [row, place]));
}

/** Keeps the first expansions of each query. */
function firstExpansions(
  { vectors, expansions, counts }: EmbeddedQueries,
  most: number | undefined,
  dimensions: number,
) {
  if (most === undefined || counts.every((count) => count <= most)) return { vectors, expansions, counts };
  const kept = counts.map((count) => Math.min(count, most));
  const first = new Float32Array(kept.reduce((sum, count) => sum + count, 0) * dimensions);
  let [from, to] = [0, 0];
  for (const [row, count] of counts.entries()) {
    first.set(expansions.subarray(from * dimensions, (from + kept[row]!) * dimensions), to * dimensions);
    from += count;
    to += kept[row]!;
  }
  return { vectors, expansions: first, counts: kept };
}
