import type { Encoder, TextRole } from '../embed/index.ts';
import type { Gate } from '../gate/index.ts';
import type { Generator, PromptTemplate, Sampling } from '../generate/index.ts';
import type { CorpusSearch } from '../retrieve/index.ts';
import type { ExpansionStore, ExpansionStoreOptions } from './expansion-store.ts';

/**
 * Where the expansion of a query comes from: the caller, the cache, the LLM whole or in part; or what is used instead: the student's
 * vector, or the raw query because it is better left alone (`skipped`), or because the LLM failed or wrote nothing in time (`fallback`).
 */
export const EXPANSION_STATES = ['given', 'hit', 'generated', 'partial', 'student', 'skipped', 'fallback'] as const;
export type ExpansionState = (typeof EXPANSION_STATES)[number];

export interface ExpanderOptions {
  /** Embeds queries, expansions and documents. The caller closes it, and all others here. */
  encoder: Encoder;
  /** Calls of the encoder at once. Default 1; more pay where calls wait for a server. */
  encoderCalls?: number | undefined;
  /** Writes expansions. Without one, queries are embedded by the student, or as they are. */
  generator?: Generator | undefined;
  /** An encoder that the expansion was distilled into: it embeds a query whose expansion is not there in time. */
  student?: Encoder | undefined;
  /**
   * Decides query by query whether the LLM is asked, and how much weight its text gets, in place of `alpha`. It was trained for dense
   * search (`llm-qe gate train`). Then no query is left alone by {@link rule}, unless one is passed.
   */
  gate?: Gate | undefined;
  /** Returns the search whose hits the gate reads, if a call names no other. Without one, it knows texts and vectors alone. */
  firstPass?: (() => CorpusSearch) | undefined;
  /** Default: the published prompt for a passage (q2d). */
  prompt?: PromptTemplate | undefined;
  /** Default: temperature 1, nucleus .9, 128 tokens. */
  sampling?: Partial<Sampling> | undefined;
  /** Expansions per query. Default 1. */
  samples?: number | undefined;
  seed?: number | undefined;
  /** Weight of a whole expansion. Default .5. */
  alpha?: number | undefined;
  /** How an expansion is embedded. Default `query`. */
  expansionRole?: TextRole | undefined;
  /** Time for the expansion of a query, in milliseconds, if a call does not say. Default 300; 0 never asks the LLM. */
  budgetMs?: number | undefined;
  /** Number of words at which an expansion that is cut off has its whole weight. Default {@link WORDS_OF_WHOLE}. */
  wordsOfWhole?: number | undefined;
  /** Returns why a query is better left alone. Default: {@link ruleAgainst}; `false` expands every query. */
  rule?: false | ((query: string) => string | undefined) | undefined;
  /** Where expansions are kept; `false` keeps none. */
  store?: false | ExpansionStore | ExpansionStoreOptions | undefined;
  /** Most texts that the LLM writes or has waiting at once; above it, queries are not expanded. Default 64. */
  mostTexts?: number | undefined;
}

/** Fitted on development queries; docs/serving.md has the measurement. */
export const WORDS_OF_WHOLE = 16;

/** Longest time that a query may wait for its expansion: ten minutes, in milliseconds. */
export const LONGEST_BUDGET_MS = 600_000;

export interface ExpandQueryOptions {
  /** At most {@link LONGEST_BUDGET_MS}, to which a longer one is cut. */
  budgetMs?: number | undefined;
  /** Number of texts. Default: that of the expander. */
  samples?: number | undefined;
  /** The caller's own expansions, or none; then neither LLM nor gate is asked. */
  expansions?: readonly string[] | undefined;
  /** The search whose hits the gate reads. Default: that of the expander. */
  firstPass?: CorpusSearch | undefined;
  signal?: AbortSignal | undefined;
  /** Receives the texts as they grow. */
  onTexts?: ((texts: string[]) => void) | undefined;
}

export interface QueryExpansion {
  state: ExpansionState;
  /** Why the LLM's whole text is not used. */
  reason?: string | undefined;
  texts: string[];
  /** Weight of the texts in the query's vector. */
  alpha: number;
  /** Tokens that the LLM wrote, if it says. */
  tokens: number;
  milliseconds: number;
  /** What the gate decided last: the probability that gains outweigh losses, and one sentence. */
  gate?: { probability: number; reason: string; milliseconds: number } | undefined;
}

export interface QueryVector extends QueryExpansion {
  /** // [dimensions] */
  vector: Float32Array;
  /** Milliseconds of embedding. */
  embedMilliseconds: number;
  /** Tokens that the encoder read, of query and texts; undefined if it does not say. */
  encodedTokens: number | undefined;
}

export interface EmbedOptions {
  signal?: AbortSignal | undefined;
  /** Receives the number of tokens that the encoder read, if it says. */
  onTokens?: ((tokens: number) => void) | undefined;
}
