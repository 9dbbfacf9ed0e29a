import { AsyncLocalStorage } from 'node:async_hooks';
import type { CallbackManagerForRetrieverRun } from '@langchain/core/callbacks/manager';
import { Document, type DocumentInterface } from '@langchain/core/documents';
import { Embeddings, type EmbeddingsParams } from '@langchain/core/embeddings';
import { BaseRetriever, type BaseRetrieverInput } from '@langchain/core/retrievers';
import type { RunnableConfig } from '@langchain/core/runnables';
import { z } from 'zod';
import { isPassing, UsageError } from '../system/index.ts';
import { findDocuments, obeying, openSource } from './open-source.ts';
import type { Found, QueryCall, Source, SourceOptions, VectorSearch } from './source.ts';

export type { ExpanderLike, QueryCall, SourceOptions } from './source.ts';

/** Texts that stores embed as a query to learn the number of dimensions. */
const PROBES = ['test', 'foo', 'hello', 'hello world', 'check the size of the vector embeddings'];
/** Attempts after a lost connection, 429 or 5xx: a query cannot wait for LangChain's six. */
const RETRIES = 2;
/** LangChain's own number of documents. */
const TOP = 4;

export type ExpandedEmbeddingsOptions = SourceOptions &
  EmbeddingsParams & {
    /** Time for the expansion of a query in milliseconds. Default: that of the expander or server. */
    budgetMs?: number | undefined;
    /** Texts that stores embed to learn the number of dimensions; no LLM is asked for them. */
    probes?: readonly string[] | undefined;
  };

/**
 * LangChain's `Embeddings`: queries are expanded, documents never. Give it to any vector store. A store passes neither a signal nor
 * callbacks on; {@link ExpandedRetriever} does.
 */
export class ExpandedEmbeddings extends Embeddings {
  readonly #source: Source;
  readonly #budgetMs: number | undefined;
  readonly #probes: ReadonlySet<string>;

  /** @throws UsageError if neither an expander nor a server is given */
  constructor(options: ExpandedEmbeddingsOptions) {
    const { budgetMs, probes = PROBES, maxRetries = RETRIES, maxConcurrency, onFailedAttempt } = options;
    super({ maxRetries, onFailedAttempt: onFailedAttempt ?? refuseLasting, ...(maxConcurrency && { maxConcurrency }) });
    this.#source = openSource(options);
    this.#budgetMs = budgetMs;
    this.#probes = new Set(probes);
  }

  /** @throws what the encoder throws; NetworkError; the signal's reason */
  async embedDocuments(texts: string[], { signal }: Pick<QueryCall, 'signal'> = {}): Promise<number[][]> {
    return (await this.#call(signal, () => this.#source.embedDocuments(texts, { signal }))).vectors;
  }

  /** @throws what the encoder throws; NetworkError; the signal's reason */
  async embedQuery(query: string, call: QueryCall = {}): Promise<number[]> {
    const budgetMs = this.#probes.has(query.trim().toLowerCase()) ? 0 : (call.budgetMs ?? this.#budgetMs);
    const [embedded] = await this.#call(call.signal, () => this.#source.embedQueries([query], { ...call, budgetMs }));
    return embedded!.vector;
  }

  #call<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return obeying(signal, () => this.caller.callWithOptions({ ...(signal && { signal }) }, work));
  }
}

/** What {@link ExpandedRetriever} uses of a LangChain vector store. */
export interface VectorStoreLike {
  similaritySearchVectorWithScore(
    vector: number[],
    k: number,
    // biome-ignore lint/suspicious/noExplicitAny: each store has its own kind of filter
    filter?: any,
  ): Promise<[DocumentInterface, number][]>;
}

export type ExpandedRetrieverOptions = SourceOptions &
  BaseRetrieverInput & {
    /** Searched with the vector of the expanded query. Its documents must be embedded by the same encoder. */
    vectorStore?: VectorStoreLike | undefined;
    /** Handed to the vector store. */
    filter?: unknown;
    /** Without a vector store: the name of the server's index, needed if it has several. */
    index?: string | undefined;
    /** Number of documents. Default 4. */
    k?: number | undefined;
    /** Time for the expansion in milliseconds. Default: that of the expander or server. */
    budgetMs?: number | undefined;
    /** Key of the documents' metadata that holds the expansion. Default: none. */
    metadataKey?: string | undefined;
  };

/** What a call may set in `configurable`. */
const configurableSchema = z.object({
  budgetMs: z.number().optional(),
  expansions: z.array(z.string()).optional(),
});

/** Name of the custom event that tells callbacks how a query was expanded. */
export const EXPANSION_EVENT = 'llm_qe_expansion';

/**
 * LangChain's `BaseRetriever`: searches a vector store, or an index of the server, with the expanded query. The signal of a call is
 * obeyed. `configurable: { budgetMs, expansions }` of a call is, too. Callbacks get the expansion as custom event
 * {@link EXPANSION_EVENT}, with its texts and its state.
 */
export class ExpandedRetriever extends BaseRetriever {
  static override lc_name(): string {
    return 'ExpandedRetriever';
  }

  override lc_namespace = ['llm-qe', 'retrievers'];
  readonly #source: Source;
  readonly #options: ExpandedRetrieverOptions;
  /** LangChain does not pass a call's configuration on to the search. */
  readonly #configs = new AsyncLocalStorage<QueryCall>();

  /** @throws UsageError if neither an expander nor a server is given, or an expander has nothing to search */
  constructor(options: ExpandedRetrieverOptions) {
    const { callbacks, tags, metadata, verbose } = options;
    super({
      ...(callbacks && { callbacks }),
      ...{ ...(tags && { tags }), ...(metadata && { metadata }), ...(verbose && { verbose }) },
    });
    this.#source = openSource(options);
    this.#options = options;
    if (options.expander === undefined || options.vectorStore !== undefined) return;
    throw new UsageError('there is nothing to search', { fix: 'Pass { vectorStore }, or { server } with an index.' });
  }

  /** @throws NetworkError, what encoder and store throw; the signal's reason */
  override invoke(query: string, config?: Partial<RunnableConfig>): Promise<DocumentInterface[]> {
    const signal = config?.signal;
    return obeying(signal, () => this.#configs.run({ ...callOf(config), signal }, () => super.invoke(query, config)));
  }

  override async _getRelevantDocuments(
    query: string,
    run?: CallbackManagerForRetrieverRun,
  ): Promise<DocumentInterface[]> {
    const { k = TOP, vectorStore, index, metadataKey, budgetMs } = this.#options;
    const call = { budgetMs, ...this.#configs.getStore() };
    const { expansion, documents } = await (vectorStore === undefined
      ? this.#search(query, index, k, call)
      : findDocuments(this.#source, this.#inStore(vectorStore), query, k, call));
    await run?.handleCustomEvent(EXPANSION_EVENT, { query, ...expansion }, run.runId);
    if (metadataKey === undefined) return documents;
    return documents.map((one) => new Document({ ...one, metadata: { ...one.metadata, [metadataKey]: expansion } }));
  }

  async #search(query: string, index: string | undefined, k: number, call: QueryCall): Promise<Found<Document>> {
    const { expansion, documents } = await this.#source.search(query, index, k, call);
    const found = documents.map(({ id, text, ...metadata }) => new Document({ id, pageContent: text, metadata }));
    return { expansion, documents: found };
  }

  #inStore(store: VectorStoreLike): VectorSearch<DocumentInterface> {
    const { filter } = this.#options;
    return {
      search: async (vector, top) => {
        const found = await store.similaritySearchVectorWithScore(Array.from(vector), top, filter);
        return found.map(([document]) => document);
      },
    };
  }
}

/** @throws UsageError */
function callOf(config: Partial<RunnableConfig> | undefined): QueryCall {
  const read = configurableSchema.safeParse(config?.configurable ?? {});
  if (read.success) return definedOf(read.data);
  const { path, message } = read.error.issues[0]!;
  throw new UsageError(`configurable.${path.join('.')}: ${message}`, { fix: 'Correct it, or leave it out.' });
}

/** Without the keys that have no value, so that they hide no defaults. */
function definedOf(call: QueryCall): QueryCall {
  return Object.fromEntries(Object.entries(call).filter(([, value]) => value !== undefined));
}

/** Ends the retries for what the next attempt would not change. */
function refuseLasting(error: unknown): void {
  if (!isPassing(error)) throw error;
}
