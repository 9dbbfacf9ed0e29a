import type { Document } from '../data/index.ts';
import {
  connectEncoder,
  type Encoder,
  encodeCorpus,
  loadEncoder,
  VECTOR_CACHE,
  type VectorFile,
} from '../embed/index.ts';
import type { Run, ScoredDocument } from '../measures/index.ts';
import { ModelStore } from '../models/index.ts';
import { BM25_CACHE, Bm25Index, ExactIndex, fuseRuns } from '../search/index.ts';
import { isServerAddress, refuseIdleOptions, refuseServerOptions } from '../servers/index.ts';
import { forgetFailure, type Progress, refuseServerOffline, SILENT, UsageError } from '../system/index.ts';
import { DenseRetriever, type DenseSettings } from './dense-retriever.ts';
import { FusedRetriever } from './fused-retriever.ts';
import { LexicalRetriever } from './lexical-retriever.ts';
import type { ExpandedQuery, RetrieveOptions, Retriever } from './retriever.ts';
import type { RetrievalSettings } from './settings.ts';

/** A corpus that can be read more than once. */
export interface Corpus {
  documents(signal?: AbortSignal): AsyncIterable<Document>;
  /** Number of documents, for progress. */
  count(signal?: AbortSignal): Promise<number>;
  /** SHA-256 of what it holds. */
  corpusHash(signal?: AbortSignal): Promise<string>;
}

export interface CorpusSearchOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Shared with the caller where it has one. */
  store?: ModelStore | undefined;
  /** The caller's own, in place of the one that the settings name; it stays open. */
  encoder?: Encoder | undefined;
}

/**
 * Opens a corpus for search. Encoder, vectors and inverted index are made when first asked for, cached by content, and
 * shared by all retrievers that are asked for.
 */
export class CorpusSearch {
  readonly #corpus: Corpus;
  readonly #settings: RetrievalSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #progress: Progress;
  readonly #store: ModelStore;
  readonly #given: Encoder | undefined;
  #encoder: Promise<Encoder> | undefined;
  #vectors: Promise<VectorFile> | undefined;
  #dense: Promise<ExactIndex> | undefined;
  #lexical: Promise<Bm25Index> | undefined;

  constructor(corpus: Corpus, settings: RetrievalSettings, options: CorpusSearchOptions = {}) {
    this.#corpus = corpus;
    this.#settings = settings;
    this.#signal = options.signal;
    this.#progress = options.progress ?? SILENT;
    this.#store = options.store ?? new ModelStore({ offline: settings.offline, progress: this.#progress });
    this.#given = options.encoder;
  }

  /** @param overrides settings of this retriever alone, such as another alpha */
  async retriever(kind: Retriever['name'], overrides: Partial<DenseSettings> = {}): Promise<Retriever> {
    if (kind === 'rrf') {
      const parts = [await this.retriever('dense', overrides), await this.retriever('bm25')] as const;
      return new FusedRetriever(parts, this.#settings.rrfK);
    }
    if (kind === 'bm25') return new LexicalRetriever(await this.#bm25(), this.#settings);
    return this.#denseRetriever(overrides);
  }

  async #denseRetriever(overrides: Partial<DenseSettings>): Promise<DenseRetriever> {
    const index = await this.#exact();
    const notes = noteCut((await this.#vectors)?.manifest);
    return new DenseRetriever(await this.encoder(), index, { ...this.#settings, ...overrides }, notes);
  }

  /**
   * The best documents of one query.
   * @param options.kind what searches; `dense` by default
   * @param options.expansions passages that stand beside the query
   * @param options.top documents wanted; 10 by default
   */
  async search(
    text: string,
    options: { kind?: Retriever['name']; expansions?: readonly string[]; top?: number; signal?: AbortSignal } = {},
  ): Promise<readonly ScoredDocument[]> {
    const { kind = 'dense', expansions = [], top = 10, signal = this.#signal } = options;
    const retriever = await this.retriever(kind);
    const query = { id: 'query', text, expansions };
    // Fusion looks as deep as the settings say, whatever is shown of it.
    const depth = Math.max(top, this.#settings.depth);
    const { run } = await retriever.retrieve([query], { depth, dropSelf: false, signal });
    return run.get(query.id)!.slice(0, top);
  }

  /** Documents by id, with their texts and metadata; the corpus is read until all are found. */
  async lookUp(ids: Iterable<string>, signal = this.#signal): Promise<Map<string, Document>> {
    const wanted = new Set(ids);
    const found = new Map<string, Document>();
    if (wanted.size === 0) return found;
    for await (const document of this.#corpus.documents(signal)) {
      if (wanted.has(document.id)) found.set(document.id, document);
      if (found.size === wanted.size) break;
    }
    return found;
  }

  /**
   * One run for each alpha, equal to those of a retriever with that alpha; each text is embedded once, and there is one dense
   * pass over the corpus.
   */
  async alphaRuns(
    kind: 'dense' | 'rrf',
    alphas: readonly number[],
    queries: readonly ExpandedQuery[],
    options: RetrieveOptions,
  ): Promise<Run[]> {
    const dense = await (await this.#denseRetriever({})).retrieveAlphas(queries, alphas, options);
    if (kind === 'dense') return dense;
    const lexical = await (await this.retriever('bm25')).retrieve(queries, options);
    const { rrfK: k } = this.#settings;
    return dense.map((run) => fuseRuns([run, lexical.run], { k, depth: options.depth }));
  }

  async encoder(): Promise<Encoder> {
    if (this.#given !== undefined) return this.#given;
    this.#encoder ??= forgetFailure(openEncoder(this.#settings, this.#store, this.#signal, this.#progress), () => {
      this.#encoder = undefined;
    });
    return this.#encoder;
  }

  /**
   * Which of these documents the corpus does not hold; asked of an index that is open already, so it costs no reading.
   */
  async missingDocuments(ids: ReadonlySet<string>): Promise<string[]> {
    const missing = new Set(ids);
    const held = (await this.#vectors)?.ids ?? (await this.#lexical)?.ids ?? [];
    for (const id of held) missing.delete(id);
    return held.length === 0 ? [] : [...missing];
  }

  async close(): Promise<void> {
    const opened = [this.#dense, this.#vectors, this.#encoder, this.#lexical];
    for (const one of await Promise.allSettled(opened)) {
      if (one.status === 'fulfilled') await one.value?.close();
    }
  }

  #exact(): Promise<ExactIndex> {
    const { similarity, threads } = this.#settings;
    this.#dense ??= forgetFailure(
      this.#encodeCorpus().then((vectors) => ExactIndex.open(vectors, { similarity, threads })),
      () => {
        this.#dense = undefined;
      },
    );
    return this.#dense;
  }

  async #encodeCorpus(): Promise<VectorFile> {
    const encoder = await this.encoder();
    const corpusHash = await this.#corpus.corpusHash(this.#signal);
    this.#vectors ??= forgetFailure(
      encodeCorpus(encoder, this.#corpus.documents(this.#signal), {
        folder: VECTOR_CACHE.folder(),
        corpusHash,
        count: () => this.#corpus.count(this.#signal),
        signal: this.#signal,
        progress: this.#progress,
      }),
      () => {
        this.#vectors = undefined;
      },
    );
    return this.#vectors;
  }

  async #bm25(): Promise<Bm25Index> {
    const corpusHash = await this.#corpus.corpusHash(this.#signal);
    this.#lexical ??= forgetFailure(
      Bm25Index.open(() => this.#corpus.documents(this.#signal), {
        folder: BM25_CACHE.folder(),
        corpusHash,
        k1: this.#settings.k1,
        b: this.#settings.b,
        analyzer: this.#settings.analyzer,
        threads: this.#settings.threads,
        signal: this.#signal,
        progress: this.#progress,
      }),
      () => {
        this.#lexical = undefined;
      },
    );
    return this.#lexical;
  }
}

/** Says how much of a corpus the encoder does not read. */
function noteCut(manifest: VectorFile['manifest'] | undefined): string[] {
  if (manifest?.cut === undefined || manifest.cut.documents === 0) return [];
  const { cut, rows } = manifest;
  const percent = (100 * cut.documents) / rows;
  const share = percent < 1 ? 'fewer than 1' : String(Math.round(percent));
  return [
    `${share} % of the documents (${cut.documents} of ${rows}) are longer than ${cut.tokens} tokens: the rest of their text is not searched by ${manifest.encoder.id}.`,
  ];
}

/**
 * Loads the encoder that the settings name: a server if it is an address, else a model.
 * @throws UsageError for settings that do nothing with a server, or only do something with one
 */
export async function openEncoder(
  settings: RetrievalSettings,
  store: ModelStore,
  signal?: AbortSignal,
  progress?: Progress,
): Promise<Encoder> {
  const { encoder, encoderModel, queryPrefix, documentPrefix, batchSize, maxWait } = settings;
  const { precision, pooling, maxLength, threads } = settings;
  if (!isServerAddress(encoder)) {
    refuseServerOptions('the encoder', { '--encoder-model': encoderModel, '--batch-size': batchSize });
    const model = await store.resolve(encoder, { kind: 'encoder', signal });
    return loadEncoder(model, { precision, pooling, maxLength, threads, queryPrefix, documentPrefix, signal });
  }
  refuseServerOffline(encoder, settings.offline);
  refuseIdleOptions('the encoder', {
    '--precision': precision === 'f32' ? undefined : precision,
    '--pooling': pooling,
    '--max-length': maxLength,
  });
  if (encoderModel === undefined) {
    throw new UsageError('an embedding server needs the name of its model', {
      fix: 'Give --encoder-model NAME, as the server lists it under /models.',
    });
  }
  return connectEncoder({
    ...{ baseUrl: encoder, model: encoderModel, queryPrefix, documentPrefix, batchSize },
    ...{ maxWaitSeconds: maxWait, signal, progress },
  });
}
