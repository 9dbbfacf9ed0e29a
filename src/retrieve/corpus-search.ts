import type { Document } from '../data/index.ts';
import type { Encoder } from '../embed/index.ts';
import type { HitRows, Run, ScoredDocument } from '../measures/index.ts';
import { ModelStore } from '../models/index.ts';
import type { Bm25Index, LexicalIndex, SearchIndex } from '../search/index.ts';
import { forgetFailure, type Progress, SILENT, UsageError } from '../system/index.ts';
import type { Corpus } from './corpus.ts';
import { type CorpusVectors, documentIds, encodeWholeOrPassages, noteCut, rankByPassages } from './corpus-vectors.ts';
import { openDenseIndex } from './dense-index.ts';
import { DenseRetriever, type Weighting } from './dense-retriever.ts';
import type { DenseSettings, EmbeddedQueries } from './encode-queries.ts';
import { type Feedback, feedbackOf, refuseIdleFeedback } from './feedback.ts';
import { FusedRetriever, fuseDenseAndLexical } from './fused-retriever.ts';
import { isRemoteBm25, openLocalBm25, openRemoteBm25 } from './lexical-index.ts';
import { LexicalRetriever } from './lexical-retriever.ts';
import { openEncoder } from './open-encoder.ts';
import type { ExpandedQuery, RetrieveOptions, Retriever } from './retriever.ts';
import type { RetrievalSettings } from './settings.ts';

/** Documents that are checked before a model is opened: all of a small corpus, and a tenth of a second of a large one. */
const CHECKED_DOCUMENTS = 10_000;

/** A way to combine queries and expansions that is tried among others: in a dense search, a lexical one, or both. */
export interface TriedCombination extends Weighting {
  /** How often a lexical search repeats the query before the expansions; default as in the settings. */
  queryRepeats?: number | undefined;
}

export interface CorpusSearchOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Model store, if the caller has one to share. */
  store?: ModelStore | undefined;
  /** An encoder to use instead of the one in the settings; the caller closes it. */
  encoder?: Encoder | undefined;
  /** Folder of vectors. Default: the cache. */
  vectors?: string | undefined;
  /** Folder of compiled encoders. Default: the cache. */
  graphs?: string | undefined;
}

/**
 * Opens a corpus for search. Encoder, vectors and inverted index are created on first use, cached by content, and shared
 * by all retrievers.
 */
export class CorpusSearch {
  readonly #corpus: Corpus;
  readonly #settings: RetrievalSettings;
  readonly #feedback: Feedback | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #progress: Progress;
  readonly #store: ModelStore;
  readonly #given: Encoder | undefined;
  #checked: Promise<void> | undefined;
  readonly #folders: Pick<CorpusSearchOptions, 'vectors' | 'graphs'>;
  #encoder: Promise<Encoder> | undefined;
  #vectors: Promise<CorpusVectors> | undefined;
  #dense: Promise<SearchIndex<Float32Array>> | undefined;
  #localBm25: Promise<Bm25Index> | undefined;
  #remoteBm25: Promise<LexicalIndex> | undefined;

  /** @throws UsageError for settings that do not fit together */
  constructor(corpus: Corpus, settings: RetrievalSettings, options: CorpusSearchOptions = {}) {
    this.#corpus = corpus;
    this.#settings = { ...settings, passages: passagesOf(corpus, settings) };
    this.#feedback = feedbackOf(this.#settings);
    this.#signal = options.signal;
    this.#progress = options.progress ?? SILENT;
    this.#store = options.store ?? new ModelStore({ offline: settings.offline, progress: this.#progress });
    this.#given = options.encoder;
    this.#folders = { vectors: options.vectors, graphs: options.graphs };
  }

  /** How its documents are divided: as in the settings, or as an index folder says. */
  get passages(): string | undefined {
    return this.#settings.passages;
  }

  /**
   * @param overrides settings for this retriever only, such as another alpha
   * @throws UsageError for a feedback that does not act in it
   */
  async retriever(kind: Retriever['name'], overrides: Partial<DenseSettings> = {}): Promise<Retriever> {
    refuseIdleFeedback(this.#feedback, kind);
    if (kind === 'bm25') return this.#lexicalRetriever();
    const dense = await this.#denseRetriever(overrides);
    return kind === 'dense' ? dense : new FusedRetriever(dense, await this.#lexicalRetriever(), this.#settings);
  }

  /** Returns one half of a fused search by itself and without feedback, whatever the settings say. */
  plainRetriever(kind: 'dense' | 'bm25', overrides: Partial<DenseSettings> = {}): Promise<Retriever> {
    return kind === 'bm25' ? this.#lexicalRetriever('none') : this.#denseRetriever(overrides, 'none');
  }

  async #lexicalRetriever(feedback: 'as set' | 'none' = 'as set'): Promise<LexicalRetriever> {
    const used = feedback === 'none' ? undefined : this.#feedback;
    return new LexicalRetriever(await this.#bm25(), this.#settings, used);
  }

  async #denseRetriever(
    overrides: Partial<DenseSettings>,
    feedback: 'as set' | 'none' = 'as set',
  ): Promise<DenseRetriever> {
    const index = await this.#denseIndex();
    const vectors = (await this.#vectors)!;
    const settings = { ...this.#settings, ...overrides };
    return new DenseRetriever(await this.encoder(), index, settings, {
      feedback: feedback === 'none' ? undefined : this.#feedback,
      documents: vectors,
      notes: noteCut(vectors.manifest, this.#settings.passages),
    });
  }

  /**
   * Returns the best documents for one query.
   * @param options.kind search method; `dense` by default
   * @param options.expansions passages that expand the query
   * @param options.top number of documents; 10 by default
   */
  async search(
    text: string,
    options: { kind?: Retriever['name']; expansions?: readonly string[]; top?: number; signal?: AbortSignal } = {},
  ): Promise<readonly ScoredDocument[]> {
    const { kind = 'dense', expansions = [], top = 10, signal = this.#signal } = options;
    const retriever = await this.retriever(kind);
    const query = { id: 'query', text, expansions };
    // Fusion searches to the depth in the settings, however few documents are returned.
    const depth = Math.max(top, this.#settings.depth);
    const { run } = await retriever.retrieve([query], { depth, dropSelf: false, signal });
    return run.get(query.id)!.slice(0, top);
  }

  /**
   * Returns the best documents for vectors that were combined elsewhere.
   * @param vectors row-major // [queries, dimensions]
   */
  async searchVectors(vectors: Float32Array, top: number, signal = this.#signal): Promise<HitRows> {
    return (await this.#denseIndex()).search(vectors, top, { signal });
  }

  /** Returns documents by id, with texts and metadata. Reads the corpus until all are found. */
  async lookUp(ids: Iterable<string>, signal = this.#signal): Promise<Map<string, Document>> {
    const wanted = new Set(ids);
    const found = new Map<string, Document>();
    if (wanted.size === 0) return found;
    if (this.#corpus.lookUp !== undefined) return this.#corpus.lookUp(wanted);
    for await (const document of this.#corpus.documents(signal)) {
      if (wanted.has(document.id)) found.set(document.id, document);
      if (found.size === wanted.size) break;
    }
    return found;
  }

  /**
   * Returns one run per combination, equal to that of a retriever with these settings and queries with these expansions. Each text is
   * embedded once, in a single dense pass over the corpus; each lexical query is searched once.
   */
  async combinedRuns(
    kind: Retriever['name'],
    combinations: readonly TriedCombination[],
    queries: readonly ExpandedQuery[],
    options: RetrieveOptions,
  ): Promise<Run[]> {
    refuseIdleFeedback(this.#feedback, kind);
    const dense = kind === 'bm25' ? undefined : await this.#denseRuns(combinations, queries, options);
    if (kind === 'dense') return combinations.map((one) => dense!.get(denseKey(one))!);
    const lexical = await this.#lexicalRuns(combinations, queries, options);
    if (dense === undefined) return combinations.map((one) => lexical.get(lexicalKey(one))!);
    return combinations.map((one) =>
      fuseDenseAndLexical(dense.get(denseKey(one))!, lexical.get(lexicalKey(one))!, this.#settings, options.depth),
    );
  }

  async #denseRuns(
    combinations: readonly TriedCombination[],
    queries: readonly ExpandedQuery[],
    options: RetrieveOptions,
  ) {
    const distinct = new Map(combinations.map((one) => [denseKey(one), one]));
    const weightings = [...distinct.values()];
    const runs = await (await this.#denseRetriever({})).retrieveWeighted(queries, weightings, options);
    return new Map([...distinct.keys()].map((key, at) => [key, runs[at]!]));
  }

  async #lexicalRuns(
    combinations: readonly TriedCombination[],
    queries: readonly ExpandedQuery[],
    options: RetrieveOptions,
  ) {
    const runs = new Map<string, Run>();
    for (const one of combinations) {
      const key = lexicalKey(one);
      if (runs.has(key)) continue;
      const { texts, queryRepeats = this.#settings.queryRepeats } = one;
      const retriever = new LexicalRetriever(await this.#bm25(), { ...this.#settings, queryRepeats }, this.#feedback);
      const asked = queries.map((query) => ({ ...query, expansions: query.expansions.slice(0, texts) }));
      runs.set(key, (await retriever.retrieve(asked, options)).run);
    }
    return runs;
  }

  /** Embeds queries and their expansions. */
  async embedQueries(queries: readonly ExpandedQuery[], signal = this.#signal): Promise<EmbeddedQueries> {
    return (await this.#denseRetriever({})).embed(queries, signal);
  }

  /**
   * Returns the inverse document frequencies of the distinct terms of a text, as BM25 has them; undefined for a term that no
   * document holds. Stop words are left out.
   */
  async idfsOf(texts: readonly string[]): Promise<(number | undefined)[][]> {
    const index = await this.#bm25();
    return texts.map((text) => index.idfsOf(text));
  }

  /**
   * Scores every document for single vectors.
   * @param vectors row-major // [queries, dimensions]
   * @returns one list per vector, of all documents, best first
   */
  async scoreAll(vectors: Float32Array, signal = this.#signal): Promise<HitRows> {
    const index = await this.#denseIndex();
    return index.search(vectors, Math.max(1, index.size), { signal });
  }

  /** Returns the BM25 index of this machine, which is made at the first call. */
  lexicalIndex(): Promise<Bm25Index> {
    this.#localBm25 ??= forgetFailure(openLocalBm25(this.#corpus, this.#settings, this.#watched), () => {
      this.#localBm25 = undefined;
    });
    return this.#localBm25;
  }

  /**
   * Reads the beginning of the corpus, so that a fault in it is found before a model is opened or downloaded. The rest is checked
   * when it is indexed.
   * @throws DataError
   */
  checkCorpus(): Promise<void> {
    this.#checked ??= forgetFailure(readBeginning(this.#corpus.documents(this.#signal)), () => {
      this.#checked = undefined;
    });
    return this.#checked;
  }

  async encoder(): Promise<Encoder> {
    if (this.#given !== undefined) return this.#given;
    await this.checkCorpus();
    const { graphs } = this.#folders;
    this.#encoder ??= forgetFailure(
      openEncoder(this.#settings, this.#store, this.#signal, this.#progress, graphs),
      () => {
        this.#encoder = undefined;
      },
    );
    return this.#encoder;
  }

  /**
   * Returns which of these documents are not in the corpus. Uses an index that is already open, if there is one.
   */
  async missingDocuments(ids: ReadonlySet<string>): Promise<string[]> {
    const missing = new Set(ids);
    const vectors = await this.#vectors;
    const dense = vectors && documentIds(vectors, this.#settings.passages);
    const held = dense ?? (await (this.#remoteBm25 ?? this.#localBm25))?.ids ?? [];
    for (const id of held) missing.delete(id);
    return held.length === 0 ? [] : [...missing];
  }

  async close(): Promise<void> {
    const opened = [this.#dense, this.#vectors, this.#encoder, this.#localBm25, this.#remoteBm25];
    for (const one of await Promise.allSettled(opened)) {
      if (one.status === 'fulfilled') await one.value?.close?.();
    }
    await this.#corpus.close?.();
  }

  get #watched() {
    return { signal: this.#signal, progress: this.#progress };
  }

  #denseIndex(): Promise<SearchIndex<Float32Array>> {
    const options = { folder: this.#folders.vectors, ...this.#watched };
    const settings = this.#settings;
    const open = async () => {
      const vectors = await this.#encodeCorpus();
      return rankByPassages(await openDenseIndex(vectors, settings, options), vectors, settings.passages);
    };
    this.#dense ??= forgetFailure(open(), () => {
      this.#dense = undefined;
    });
    return this.#dense;
  }

  async #encodeCorpus(): Promise<CorpusVectors> {
    const encoder = await this.encoder();
    const { passages } = this.#settings;
    const options = { passages, folder: this.#folders.vectors, ...this.#watched };
    const made = this.#corpus.held?.vectors(encoder) ?? encodeWholeOrPassages(encoder, this.#corpus, options);
    this.#vectors ??= forgetFailure(made, () => {
      this.#vectors = undefined;
    });
    return this.#vectors;
  }

  /** The index that searches: in an engine, or here. */
  #bm25(): Promise<LexicalIndex> {
    if (!isRemoteBm25(this.#settings)) return this.lexicalIndex();
    this.#remoteBm25 ??= forgetFailure(openRemoteBm25(this.#corpus, this.#settings, this.#watched), () => {
      this.#remoteBm25 = undefined;
    });
    return this.#remoteBm25;
  }
}

/** @throws UsageError for passages other than those of an index folder */
function passagesOf({ held }: Corpus, { passages }: RetrievalSettings): string | undefined {
  if (held === undefined || passages === undefined || passages === held.passages) return held?.passages ?? passages;
  const has = held.passages === undefined ? 'of whole documents' : `of passages of ${held.passages}`;
  throw new UsageError(`the vectors of the index are ${has}, not of ${passages}`, {
    file: held.folder,
    fix: 'Omit --passages, or build another index.',
  });
}

async function readBeginning(documents: AsyncIterable<Document>): Promise<void> {
  let count = 0;
  for await (const _document of documents) if (++count === CHECKED_DOCUMENTS) return;
}

/** Combinations with the same key are one to a dense search. */
function denseKey({ alpha, texts }: TriedCombination): string {
  return alpha === 0 || texts === 0 ? 'raw' : `${alpha} ${texts ?? 'all'}`;
}

/** Combinations with the same key are one to a lexical search. */
function lexicalKey({ texts, queryRepeats }: TriedCombination): string {
  return texts === 0 ? 'raw' : `${queryRepeats ?? 'as set'} ${texts ?? 'all'}`;
}
