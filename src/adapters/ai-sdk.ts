import { z } from 'zod';
import type { QueryExpansion } from '../serve/index.ts';
import { HttpError, isPassing, NetworkError, UsageError } from '../system/index.ts';
import { findDocuments, obeying, openSource } from './open-source.ts';
import type { Found, FoundDocument, QueryCall, Source, SourceOptions, VectorSearch } from './source.ts';

export type { ExpanderLike, Found, FoundDocument, SourceOptions, VectorSearch } from './source.ts';

/** Name of this provider, and of its part in `providerOptions` and `providerMetadata`. */
const PROVIDER = 'llm-qe';
/** Texts of one call. Queries are expanded side by side, so there are fewer of them. */
const [MOST_DOCUMENTS, MOST_QUERIES] = [256, 32];
/** Number of documents that the tool finds, and the most that the LLM may ask for. */
const [TOP, MOST_DOCUMENTS_FOUND] = [5, 50];

/** How the AI SDK calls an embedding model (specification v3 of `@ai-sdk/provider`). */
export interface EmbedCall {
  values: string[];
  abortSignal?: AbortSignal;
  /** `{ 'llm-qe': { budgetMs, expansions } }` */
  providerOptions?: Record<string, Record<string, unknown>>;
  headers?: Record<string, string | undefined>;
}

/** What the AI SDK gets. */
export interface EmbedResult {
  embeddings: number[][];
  /** Tokens that the encoder read, expansions included; absent if it does not say. */
  usage?: { tokens: number };
  providerMetadata?: { [PROVIDER]: { expansions: ExpansionFacts[] } };
  warnings: [];
}

/** How a query was expanded, without undefined values. */
export type ExpansionFacts = Omit<QueryExpansion, 'gate' | 'reason'> & {
  reason?: string;
  gate?: NonNullable<QueryExpansion['gate']>;
};

/** An embedding model for the AI SDK's `embed` and `embedMany`. It has the structure of its `EmbeddingModelV3`, and imports nothing of it. */
export interface ExpandedEmbeddingModel {
  readonly specificationVersion: 'v3';
  readonly provider: string;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  readonly supportsParallelCalls: boolean;
  doEmbed(call: EmbedCall): Promise<EmbedResult>;
}

const optionsSchema = z.strictObject({
  budgetMs: z.number().optional(),
  expansions: z.array(z.string()).optional(),
});

export type QueryModelOptions = SourceOptions & {
  /** Time for the expansion of a query in milliseconds. Default: that of the expander or server. */
  budgetMs?: number | undefined;
};

/**
 * The model for queries, which are expanded. `providerMetadata['llm-qe'].expansions` says how, one for each query;
 * `providerOptions: { 'llm-qe': { budgetMs, expansions } }` sets it for a call.
 * @throws UsageError if neither an expander nor a server is given
 */
export function queryEmbeddingModel(options: QueryModelOptions): ExpandedEmbeddingModel {
  const source = openSource(options);
  return {
    ...factsOf(source, 'query'),
    maxEmbeddingsPerCall: MOST_QUERIES,
    async doEmbed({ values, abortSignal: signal, headers, providerOptions }) {
      const call = { budgetMs: options.budgetMs, ...readOptions(providerOptions), signal, headers };
      const embedded = await asProvider(signal, () => source.embedQueries(values, call));
      return {
        embeddings: embedded.map(({ vector }) => vector),
        ...usageOf(embedded.map(({ tokens }) => tokens)),
        providerMetadata: { [PROVIDER]: { expansions: embedded.map(({ expansion }) => expansionFacts(expansion)) } },
        warnings: [],
      };
    },
  };
}

/** The model for documents, which are never expanded. @throws UsageError if neither an expander nor a server is given */
export function documentEmbeddingModel(options: SourceOptions): ExpandedEmbeddingModel {
  const source = openSource(options);
  return {
    ...factsOf(source, 'passage'),
    maxEmbeddingsPerCall: MOST_DOCUMENTS,
    async doEmbed({ values, abortSignal: signal, headers }) {
      const { vectors, tokens } = await asProvider(signal, () => source.embedDocuments(values, { signal, headers }));
      return { embeddings: vectors, ...usageOf([tokens]), warnings: [] };
    },
  };
}

export type ExpandedSearchOptions<D> = SourceOptions & {
  /** What is searched: something with a `search(vector, top, signal)`, or the name of the server's index, needed if it has several. */
  index?: VectorSearch<D> | string | undefined;
  /** Number of documents if the LLM does not say. Default 5. */
  top?: number | undefined;
  /** Time for the expansion in milliseconds. Default: that of the expander or server. */
  budgetMs?: number | undefined;
  /** Tells the LLM what can be found. */
  description?: string | undefined;
};

const searchInput = z.object({
  query: z.string().min(1).describe('what to look for, as a question or in a few words'),
  top: z.number().int().min(1).max(MOST_DOCUMENTS_FOUND).optional().describe('number of documents'),
});

/** What the LLM gets: the documents, and the texts with which they were found. */
export type SearchResult<D> = { query: string; expansion: ExpansionFacts; documents: D[] };

/**
 * A tool for `generateText` and `streamText`: the LLM asks, and gets the documents that the expanded query finds.
 * @throws UsageError if neither an expander nor a server is given, or an expander has nothing to search
 */
export function expandedSearch<D = FoundDocument>(options: ExpandedSearchOptions<D>) {
  const { index, top: usual = TOP, budgetMs, description = 'Searches documents by meaning.' } = options;
  const source = openSource(options);
  if (options.expander !== undefined && typeof index !== 'object') {
    throw new UsageError('there is nothing to search', { fix: 'Pass { index } with a search(vector, top, signal).' });
  }
  return {
    description,
    inputSchema: searchInput,
    async execute(
      { query, top = usual }: z.output<typeof searchInput>,
      { abortSignal: signal }: { abortSignal?: AbortSignal | undefined } = {},
    ): Promise<SearchResult<D>> {
      const call: QueryCall = { budgetMs, signal };
      const { expansion, documents } = await obeying(signal, () => find(source, index, query, top, call));
      return { query, expansion: expansionFacts(expansion), documents };
    },
  };
}

function find<D>(
  source: Source,
  index: VectorSearch<D> | string | undefined,
  query: string,
  top: number,
  call: QueryCall,
): Promise<Found<D>> {
  if (typeof index === 'object') return findDocuments(source, index, query, top, call);
  // The server's documents are what D is unless the caller brings an index.
  return source.search(query, index, top, call) as Promise<Found<unknown>> as Promise<Found<D>>;
}

function factsOf({ model }: Source, role: string) {
  const modelId = `${model}-${role}`;
  return { specificationVersion: 'v3' as const, provider: PROVIDER, modelId, supportsParallelCalls: true };
}

/** Metadata is JSON, which has no undefined. */
function expansionFacts({ reason, gate, ...facts }: QueryExpansion): ExpansionFacts {
  return { ...facts, ...(reason !== undefined && { reason }), ...(gate && { gate }) };
}

function usageOf(tokens: readonly (number | undefined)[]): Pick<EmbedResult, 'usage'> {
  const known = tokens.filter((one) => one !== undefined);
  return known.length === 0 ? {} : { usage: { tokens: known.reduce((sum, one) => sum + one, 0) } };
}

/** @throws UsageError */
function readOptions(options: EmbedCall['providerOptions']): QueryCall {
  const read = optionsSchema.safeParse(options?.[PROVIDER] ?? {});
  if (read.success) return read.data;
  const { path, message } = read.error.issues[0]!;
  throw new UsageError(`providerOptions.${[PROVIDER, ...path].join('.')}: ${message}`, {
    fix: 'Pass budgetMs (milliseconds) or expansions (texts), or neither.',
  });
}

/** The AI SDK repeats a call whose error has its mark; it looks for the mark, not for the class. */
async function asProvider<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await obeying(signal, work);
  } catch (error) {
    throw error instanceof NetworkError ? marked(error) : error;
  }
}

const MARKS = { [Symbol.for('vercel.ai.error')]: true, [Symbol.for('vercel.ai.error.AI_APICallError')]: true };

function marked(error: NetworkError): NetworkError {
  const { status, retryAfterSeconds } =
    error instanceof HttpError ? error : { status: undefined, retryAfterSeconds: undefined };
  const responseHeaders = retryAfterSeconds === undefined ? {} : { 'retry-after': `${retryAfterSeconds}` };
  return Object.assign(error, MARKS, { isRetryable: isPassing(error), statusCode: status, responseHeaders });
}
