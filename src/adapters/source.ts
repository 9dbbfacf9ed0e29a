import type { Expander, QueryExpansion } from '../serve/index.ts';

/** What is used of an `Expander`. */
export type ExpanderLike = Pick<Expander, 'embedDocuments' | 'embedQuery' | 'encoder'>;

/** Where queries are expanded and embedded: an expander in this process, or `llm-qe serve` at an address. */
export type SourceOptions =
  | {
      /** Made by `createExpander`. The caller closes it. */
      expander: ExpanderLike;
      server?: undefined;
    }
  | ({ expander?: undefined } & ServerOptions);

export interface ServerOptions {
  /** Address of `llm-qe serve`, such as `http://127.0.0.1:8090`. */
  server: string;
  /** The key of `--api-key-file`. */
  apiKey?: string | undefined;
  /** Time limit of one request. Default 60. */
  timeoutSeconds?: number | undefined;
}

/** What a single call may say. */
export interface QueryCall {
  /** Time for the expansion in milliseconds; 0, or less, never asks the LLM. Default: that of the expander or server. */
  budgetMs?: number | undefined;
  /** The caller's own expansions of one query; then no LLM is asked. */
  expansions?: readonly string[] | undefined;
  signal?: AbortSignal | undefined;
  /** Further HTTP headers, if there is a server. */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
}

/** A query's vector, and how it was expanded. */
export interface EmbeddedQuery {
  vector: number[];
  expansion: QueryExpansion;
  /** Tokens that the encoder read, if it says. */
  tokens: number | undefined;
}

/** Documents' vectors. */
export interface EmbeddedDocuments {
  vectors: number[][];
  /** Tokens that the encoder read, if it says. */
  tokens: number | undefined;
}

/** A document that was found. */
export interface FoundDocument {
  id: string;
  score: number;
  text: string;
  title?: string | undefined;
}

/** Searches with a vector, such as an index of `llm-qe` in this process, or any vector store. */
export interface VectorSearch<D = FoundDocument> {
  search(vector: Float32Array, top: number, signal?: AbortSignal): Promise<D[]>;
}

/** What was found, and with which expansion. */
export interface Found<D = FoundDocument> {
  expansion: QueryExpansion;
  documents: D[];
}

export interface Source {
  /** Name of the encoder, if it is known. */
  readonly model: string;
  embedQueries(queries: readonly string[], call: QueryCall): Promise<EmbeddedQuery[]>;
  /** Documents are never expanded. */
  embedDocuments(texts: readonly string[], call: Pick<QueryCall, 'headers' | 'signal'>): Promise<EmbeddedDocuments>;
  /** Searches an index of the server. @param index needed if there are several */
  search(query: string, index: string | undefined, top: number, call: QueryCall): Promise<Found>;
}
