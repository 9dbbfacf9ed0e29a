import type { Encoder, TextRole } from '../embed/index.ts';
import { type Generator, PROMPTS, type PromptTemplate, type Sampling, WRITERS_FORMAT } from '../generate/index.ts';
import { combineQueryVectors } from '../search/index.ts';
import { contentKey, DEFAULT_SEED, isAbort, throwIfAborted } from '../system/index.ts';
import { BatchedEncoder } from './batched-encoder.ts';
import { ExpansionStore, type ExpansionStoreOptions } from './expansion-store.ts';
import { LiveWriter } from './live-writer.ts';
import { ruleAgainst } from './query-rules.ts';
import { isUnit } from './unit-length.ts';
import { type TextsSoFar, type WritingSettings, WrittenQuery } from './written-query.ts';

/**
 * Where the expansion of a query comes from: the caller, the cache, the LLM whole or in part; or what is used instead: the student's
 * vector, or the raw query because it is better left alone (`skipped`), or because the LLM failed or wrote nothing in time (`fallback`).
 */
export const EXPANSION_STATES = ['given', 'hit', 'generated', 'partial', 'student', 'skipped', 'fallback'] as const;
export type ExpansionState = (typeof EXPANSION_STATES)[number];

export interface ExpanderOptions {
  /** Embeds queries, expansions and documents. The caller closes it, and all others here. */
  encoder: Encoder;
  /** Writes expansions. Without one, queries are embedded by the student, or as they are. */
  generator?: Generator | undefined;
  /** An encoder that the expansion was distilled into: it embeds a query whose expansion is not there in time. */
  student?: Encoder | undefined;
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

export interface ExpandQueryOptions {
  budgetMs?: number | undefined;
  /** The caller's own expansions; then no LLM is asked. */
  expansions?: readonly string[] | undefined;
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
}

export interface QueryVector extends QueryExpansion {
  /** // [dimensions] */
  vector: Float32Array;
  /** Milliseconds of embedding. */
  embedMilliseconds: number;
}

/** Options with their defaults filled in. */
interface Defaults {
  alpha: number;
  budgetMs: number;
  expansionRole: TextRole;
  mostTexts: number;
  wordsOfWhole: number;
}

/** The published weight, and what a search needs of a text. */
const [ALPHA, MAX_TOKENS, BUDGET_MS, MOST_TEXTS] = [0.5, 128, 300, 64];
/** Fitted on development queries; docs/serving.md has the measurement. */
export const WORDS_OF_WHOLE = 16;

/** Creates an expander. It opens nothing: encoder and generator are given, and serve any number of expanders. */
export function createExpander(options: ExpanderOptions): Expander {
  return new Expander(options);
}

/**
 * Expands and embeds queries within a time budget. An LLM that fails, is slow or is busy never fails a query: it is then embedded
 * with what was written by then, by the student, or as it is. Documents are never expanded.
 */
export class Expander {
  readonly encoder: Encoder;
  readonly student: Encoder | undefined;
  readonly #generator: Generator | undefined;
  readonly #writer: LiveWriter | undefined;
  readonly #batches: BatchedEncoder;
  readonly #students: BatchedEncoder | undefined;
  readonly #store: ExpansionStore | undefined;
  readonly #settings: WritingSettings;
  readonly #options: Defaults;
  readonly #rule: (query: string) => string | undefined;
  /** Tokens that the LLM wrote, waited for or not. */
  writtenTokens = 0;
  /** What ends when a query's expansions are written and kept. */
  readonly #keeping = new Set<Promise<void>>();
  /** Queries whose expansions are being written, by key. */
  readonly #underWay = new Map<string, WrittenQuery>();

  constructor(options: ExpanderOptions) {
    const { encoder, generator, student, store = {}, rule = ruleAgainst } = options;
    [this.encoder, this.student, this.#generator] = [encoder, student, generator];
    this.#batches = new BatchedEncoder(encoder);
    this.#students = student && new BatchedEncoder(student);
    this.#writer = generator && new LiveWriter(generator);
    this.#store = store === false ? undefined : store instanceof ExpansionStore ? store : new ExpansionStore(store);
    this.#rule = rule === false ? () => undefined : rule;
    this.#settings = settingsOf(options);
    const { alpha = ALPHA, budgetMs = BUDGET_MS, expansionRole = 'query', mostTexts = MOST_TEXTS } = options;
    this.#options = { alpha, budgetMs, expansionRole, mostTexts, wordsOfWhole: options.wordsOfWhole ?? WORDS_OF_WHOLE };
  }

  /** Number of texts that the LLM writes or has waiting. */
  get pendingTexts(): number {
    return this.#writer?.pending ?? 0;
  }

  /** Expands a query. @throws AbortedError after the signal, and nothing else */
  async expand(query: string, options: ExpandQueryOptions = {}): Promise<QueryExpansion> {
    const started = performance.now();
    const found = await this.#find(query, options);
    throwIfAborted(options.signal);
    const isWhole = found.state !== 'partial';
    const alpha = found.texts.length === 0 ? 0 : this.#options.alpha * (isWhole ? 1 : this.#shareOf(found.texts));
    return { ...found, alpha, milliseconds: performance.now() - started };
  }

  /** Expands and embeds a query. @throws what the encoder throws; AbortedError after the signal */
  async embedQuery(query: string, options: ExpandQueryOptions = {}): Promise<QueryVector> {
    const expansion = await this.expand(query, options);
    const started = performance.now();
    const { texts, alpha, state } = expansion;
    const vector = await (state === 'student'
      ? this.#students!.encode([query], 'query', options.signal)
      : this.#embed(query, texts, alpha, options.signal));
    return { ...expansion, vector, embedMilliseconds: performance.now() - started };
  }

  /** Embeds documents, which are never expanded. @returns row-major // [texts, dimensions] */
  embedDocuments(texts: readonly string[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#batches.encode(texts, 'document', signal);
  }

  /** Ends the texts under way, and waits until finished ones are kept. The caller closes encoder, student and generator. */
  async close(): Promise<void> {
    this.#writer?.close();
    await Promise.all(this.#keeping);
  }

  async #find(query: string, options: ExpandQueryOptions): Promise<Omit<QueryExpansion, 'alpha' | 'milliseconds'>> {
    const { budgetMs = this.#options.budgetMs, expansions } = options;
    const given = expansions?.filter((text) => text.trim() !== '') ?? [];
    if (given.length > 0) return { state: 'given', texts: given, tokens: 0 };
    const against = this.#rule(query);
    if (against !== undefined) return { state: 'skipped', reason: against, texts: [], tokens: 0 };
    if (this.#generator === undefined) return this.#instead('no LLM');
    const key = this.#keyOf(query);
    const kept = await this.#store?.get(key);
    if (kept !== undefined) return { state: 'hit', texts: kept.texts, tokens: 0 };
    if (budgetMs <= 0) return this.#instead('no budget');
    return this.#write(query, key, budgetMs, options);
  }

  async #write(query: string, key: string, budgetMs: number, { signal, onTexts }: ExpandQueryOptions) {
    const open = this.#underWay.get(key) ?? this.#begin(query, key);
    if (open === undefined) return this.#instead('busy');
    try {
      const { texts, isWhole, tokens } = await open.wait(budgetMs, { signal, onTexts });
      if (texts.length === 0) return { ...this.#instead(isWhole ? 'nothing written' : 'too slow'), tokens };
      if (isWhole) return { state: 'generated' as const, texts, tokens };
      return { state: 'partial' as const, reason: 'too slow', texts, tokens };
    } catch (error) {
      return this.#instead(isAbort(error) ? 'stopped' : 'the LLM failed');
    }
  }

  /** @returns undefined if too many texts are under way */
  #begin(query: string, key: string): WrittenQuery | undefined {
    const [writer, generator] = [this.#writer!, this.#generator!];
    const { mostTexts } = this.#options;
    if (writer.pending + this.#settings.samples > mostTexts) return undefined;
    // When nobody waits any more, the texts are completed for the next call, if there is room.
    const goesOn = () => this.#store !== undefined && writer.pending <= mostTexts / 2;
    const begun = new WrittenQuery(query, { writer, generator, settings: this.#settings }, goesOn);
    this.#underWay.set(key, begun);
    const keep = async (whole: TextsSoFar | undefined) => {
      const { texts, tokens } = whole ?? { texts: [], tokens: 0 };
      if (texts.length > 0) await this.#store?.put(key, { query, texts, tokens });
    };
    const kept = begun.whole
      .then(keep, () => {})
      .finally(() => {
        this.#keeping.delete(kept);
        this.writtenTokens += begun.soFar.tokens;
        if (this.#underWay.get(key) === begun) this.#underWay.delete(key);
      });
    this.#keeping.add(kept);
    return begun;
  }

  #instead(reason: string) {
    return {
      state: this.student === undefined ? ('fallback' as const) : ('student' as const),
      reason,
      texts: [],
      tokens: 0,
    };
  }

  /** A text that breaks off weighs less, the shorter it is. */
  #shareOf(texts: readonly string[]): number {
    const words = texts.reduce((sum, text) => sum + text.trim().split(/\s+/).length, 0) / texts.length;
    return Math.min(1, words / this.#options.wordsOfWhole);
  }

  async #embed(query: string, texts: readonly string[], alpha: number, signal?: AbortSignal): Promise<Float32Array> {
    const { dimensions } = this.encoder;
    if (texts.length === 0) return this.#batches.encode([query], 'query', signal);
    const { expansionRole } = this.#options;
    const [own, expansions] = await (expansionRole === 'query'
      ? this.#batches
          .encode([query, ...texts], 'query', signal)
          .then((all) => [all.slice(0, dimensions), all.subarray(dimensions)] as const)
      : Promise.all([
          this.#batches.encode([query], 'query', signal),
          this.#batches.encode(texts, expansionRole, signal),
        ]));
    // Where vectors have length 1, stores and their users expect that of a query, too; it changes no ranking.
    const normalize = isUnit(own);
    return combineQueryVectors(own, expansions, [texts.length], { dimensions, alpha, normalize });
  }

  #keyOf(query: string): string {
    const { fingerprint, contextSize } = this.#generator!;
    const { prompt, ...settings } = this.#settings;
    return contentKey({ format: WRITERS_FORMAT, fingerprint, contextSize, prompt: prompt.text, ...settings, query });
  }
}

function settingsOf({
  prompt = PROMPTS.q2d,
  sampling,
  samples = 1,
  seed = DEFAULT_SEED,
}: ExpanderOptions): WritingSettings {
  return {
    prompt,
    sampling: { temperature: 1, topP: 0.9, topK: 0, maxTokens: MAX_TOKENS, ...sampling },
    samples,
    seed,
  };
}
