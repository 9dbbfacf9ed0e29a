import type { Encoder, TextRole } from '../embed/index.ts';
import type { Gate } from '../gate/index.ts';
import { type Generator, PROMPTS, WRITERS_FORMAT } from '../generate/index.ts';
import { rememberingEncoder } from '../retrieve/index.ts';
import { combineQueryVectors } from '../search/index.ts';
import { contentKey, DEFAULT_SEED, isAbort, throwIfAborted } from '../system/index.ts';
import { BatchedEncoder } from './batched-encoder.ts';
import { type EncoderFault, encoderFaultOf } from './encoder-faults.ts';
import {
  type EmbedOptions,
  type ExpanderOptions,
  type ExpandQueryOptions,
  LONGEST_BUDGET_MS,
  type QueryExpansion,
  type QueryVector,
  WORDS_OF_WHOLE,
} from './expander-options.ts';
import { ExpansionStore } from './expansion-store.ts';
import { LiveWriter } from './live-writer.ts';
import { GatedQuery, type QueryVectors, refuseOtherGate } from './query-gate.ts';
import { ruleAgainst } from './query-rules.ts';
import { inSpan } from './spans.ts';
import { isUnit } from './unit-length.ts';
import { type TextsSoFar, type WritingSettings, WrittenQuery } from './written-query.ts';

/** Options with their defaults filled in. */
interface Defaults {
  alpha: number;
  budgetMs: number;
  expansionRole: TextRole;
  mostTexts: number;
  wordsOfWhole: number;
}

/** What is found for a query, before its weight is known. */
interface Found extends Pick<QueryExpansion, 'state' | 'reason' | 'texts' | 'tokens'> {
  gated?: GatedQuery | undefined;
}

/** An expansion, with the vectors that the gate needed. */
interface Weighed extends Omit<QueryExpansion, 'milliseconds'> {
  vectors?: QueryVectors | undefined;
}

/** The published weight, and what a search needs of a text. */
const [ALPHA, MAX_TOKENS, BUDGET_MS, MOST_TEXTS] = [0.5, 128, 300, 64];

/** Of the vectors of queries and expansions that are kept in memory: some 7,000 of 384 dimensions, with their texts. */
const REMEMBERED_BYTES = 16 * 2 ** 20;

/**
 * Creates an expander. It opens nothing: encoder and generator are given, and serve any number of expanders.
 * @throws UsageError for a gate of another kind of search
 */
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
  readonly gate: Gate | undefined;
  /** Tokens that the LLM wrote, waited for or not. */
  writtenTokens = 0;
  /** How often the gate could not read the hits of a query, and decided without them. */
  gateFailures = 0;
  /** Calls of the encoder that failed, by what was wrong. */
  readonly encoderFaults = new Map<EncoderFault, number>();
  readonly #generator: Generator | undefined;
  readonly #writer: LiveWriter | undefined;
  readonly #batches: BatchedEncoder;
  readonly #students: BatchedEncoder | undefined;
  readonly #store: ExpansionStore | undefined;
  readonly #settings: WritingSettings;
  readonly #options: Defaults;
  readonly #firstPass: ExpanderOptions['firstPass'];
  readonly #rule: (query: string) => string | undefined;
  /** What ends when a query's expansions are written and kept. */
  readonly #keeping = new Set<Promise<void>>();
  /** Queries whose expansions are being written, by key. */
  readonly #underWay = new Map<string, WrittenQuery>();

  constructor(options: ExpanderOptions) {
    const { encoder, generator, student, gate, store = {} } = options;
    if (gate !== undefined) refuseOtherGate(gate);
    [this.encoder, this.student, this.gate, this.#generator] = [encoder, student, gate, generator];
    const onFailure = (error: unknown) => {
      const fault = encoderFaultOf(error);
      this.encoderFaults.set(fault, (this.encoderFaults.get(fault) ?? 0) + 1);
    };
    this.#batches = new BatchedEncoder(remembering(encoder), { callsAtOnce: options.encoderCalls, onFailure });
    this.#students = student && new BatchedEncoder(remembering(student), { onFailure });
    this.#writer = generator && new LiveWriter(generator);
    this.#store = store === false ? undefined : store instanceof ExpansionStore ? store : new ExpansionStore(store);
    this.#firstPass = options.firstPass;
    this.#rule = ruleOf(options);
    this.#settings = settingsOf(options);
    const { alpha = ALPHA, budgetMs = BUDGET_MS, expansionRole = 'query', mostTexts = MOST_TEXTS } = options;
    this.#options = { alpha, budgetMs, expansionRole, mostTexts, wordsOfWhole: options.wordsOfWhole ?? WORDS_OF_WHOLE };
  }

  /** Number of texts that the LLM writes or has waiting. */
  get pendingTexts(): number {
    return this.#writer?.pending ?? 0;
  }

  /** Number of texts that wait for the encoder. */
  get waitingTexts(): number {
    return this.#batches.waiting + (this.#students?.waiting ?? 0);
  }

  /** Expands a query. @throws AbortedError after the signal; with a gate, what the encoder throws; nothing else */
  async expand(query: string, options: ExpandQueryOptions = {}): Promise<QueryExpansion> {
    const { vectors: _, ...expansion } = await this.#expand(query, options);
    return expansion;
  }

  /** Expands and embeds a query. @throws what the encoder throws; AbortedError after the signal */
  async embedQuery(query: string, options: ExpandQueryOptions = {}): Promise<QueryVector> {
    let encodedTokens: number | undefined;
    const onTokens = (tokens: number) => {
      encodedTokens = (encodedTokens ?? 0) + tokens;
    };
    const { vectors, ...expansion } = await this.#expand(query, options, onTokens);
    const started = performance.now();
    const { texts, alpha, state } = expansion;
    const how = { signal: options.signal, onTokens };
    const vector = await (state === 'student'
      ? this.#students!.encode([query], 'query', how)
      : this.#embed(query, alpha === 0 ? [] : texts, { alpha, vectors, ...how }));
    return { ...expansion, vector, encodedTokens, embedMilliseconds: performance.now() - started };
  }

  /** Embeds a query as it is. @throws what the encoder throws; AbortedError after the signal */
  embedRaw(query: string, options: EmbedOptions = {}): Promise<Float32Array> {
    return this.#batches.encode([query], 'query', options);
  }

  /** Embeds documents, which are never expanded. @returns row-major // [texts, dimensions] */
  embedDocuments(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array> {
    return this.#batches.encode(texts, 'document', options);
  }

  /** Ends the texts under way, and waits until finished ones are kept. The caller closes encoder, student and generator. */
  async close(): Promise<void> {
    this.#writer?.close();
    await Promise.all(this.#keeping);
  }

  #expand(query: string, options: ExpandQueryOptions, onTokens?: EmbedOptions['onTokens']) {
    return inSpan('expand', {}, async (span) => {
      const started = performance.now();
      const found = await this.#find(query, options);
      throwIfAborted(options.signal);
      const weighed = await this.#weigh(query, found, { signal: options.signal, onTokens });
      const { state, reason, tokens, alpha } = weighed;
      span.setAttributes({ 'llm_qe.state': state, 'llm_qe.tokens': tokens, 'llm_qe.alpha': alpha });
      if (reason !== undefined) span.setAttribute('llm_qe.reason', reason);
      return { ...weighed, milliseconds: performance.now() - started };
    });
  }

  async #find(query: string, options: ExpandQueryOptions): Promise<Found> {
    const { expansions } = options;
    const budgetMs = Math.min(options.budgetMs ?? this.#options.budgetMs, LONGEST_BUDGET_MS);
    const started = performance.now();
    const given = expansions?.filter((text) => text.trim() !== '');
    if (given !== undefined) return { state: 'given', texts: given, tokens: 0 };
    const against = this.#rule(query);
    if (against !== undefined) return { state: 'skipped', reason: against, texts: [], tokens: 0 };
    if (this.#generator === undefined) return this.#instead('no LLM');
    const gated = await this.#askGate(query, options);
    if (gated?.before.expand === false) return { state: 'skipped', reason: 'gate', texts: [], tokens: 0, gated };
    const settings = { ...this.#settings, samples: options.samples ?? this.#settings.samples };
    const key = this.#keyOf(query, settings);
    const kept = await this.#store?.get(key);
    if (kept !== undefined) return { state: 'hit', texts: kept.texts, tokens: 0, gated };
    if (!(budgetMs > 0)) return this.#instead('no budget');
    // What the gate took is no longer there for writing.
    const left = gated === undefined ? budgetMs : budgetMs - (performance.now() - started);
    return { ...(await this.#write(query, { key, settings, budgetMs: left }, options)), gated };
  }

  #askGate(query: string, { firstPass = this.#firstPass?.(), signal }: ExpandQueryOptions) {
    const { gate } = this;
    if (gate === undefined) return undefined;
    const onFailure = () => {
      this.gateFailures++;
    };
    return GatedQuery.open(gate, query, { firstPass, signal, onFailure });
  }

  async #write(
    query: string,
    { key, settings, budgetMs }: { key: string; settings: WritingSettings; budgetMs: number },
    { signal, onTexts }: ExpandQueryOptions,
  ): Promise<Found> {
    if (budgetMs <= 0) return this.#instead('too slow');
    const open = this.#underWay.get(key) ?? this.#begin(query, key, settings);
    if (open === undefined) return this.#instead('busy');
    try {
      const { texts, isWhole, tokens } = await inSpan('write', {}, () => open.wait(budgetMs, { signal, onTexts }));
      if (texts.length === 0) return { ...this.#instead(isWhole ? 'nothing written' : 'too slow'), tokens };
      if (isWhole) return { state: 'generated', texts, tokens };
      return { state: 'partial', reason: 'too slow', texts, tokens };
    } catch (error) {
      const reason = isAbort(error) ? 'stopped' : 'the LLM failed';
      const { texts, tokens } = open.soFar;
      // What a broken stream brought is the beginning of a text, too.
      return texts.length === 0 ? this.#instead(reason) : { state: 'partial', reason, texts, tokens };
    }
  }

  /** @returns undefined if too many texts are under way */
  #begin(query: string, key: string, settings: WritingSettings): WrittenQuery | undefined {
    const [writer, generator] = [this.#writer!, this.#generator!];
    const { mostTexts } = this.#options;
    if (writer.pending + settings.samples > mostTexts) return undefined;
    // When nobody waits any more, the texts are completed for the next call, if there is room.
    const goesOn = () => this.#store !== undefined && writer.pending <= mostTexts / 2;
    const begun = new WrittenQuery(query, { writer, generator, settings }, goesOn);
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

  #instead(reason: string): Found {
    return { state: this.student === undefined ? 'fallback' : 'student', reason, texts: [], tokens: 0 };
  }

  /** Decides on the weight of the texts. */
  async #weigh(query: string, { gated, ...found }: Found, how: EmbedOptions): Promise<Weighed> {
    const { texts, state } = found;
    const share = state === 'partial' ? this.#shareOf(texts) : 1;
    if (gated === undefined) return { ...found, alpha: texts.length === 0 ? 0 : this.#options.alpha * share };
    if (texts.length === 0) return { ...found, alpha: 0, gate: gated.toldBefore };
    const vectors = await this.#encode(query, texts, how);
    const { weight, ...gate } = await gated.after(texts, vectors);
    if (weight > 0) return { ...found, alpha: weight * share, gate, vectors };
    return { ...found, state: 'skipped', reason: 'gate, once written', alpha: 0, gate, vectors };
  }

  /** A text that breaks off weighs less, the shorter it is. */
  #shareOf(texts: readonly string[]): number {
    const words = texts.reduce((sum, text) => sum + text.trim().split(/\s+/).length, 0) / texts.length;
    return Math.min(1, words / this.#options.wordsOfWhole);
  }

  async #embed(
    query: string,
    texts: readonly string[],
    { alpha, vectors, ...how }: EmbedOptions & { alpha: number; vectors: QueryVectors | undefined },
  ): Promise<Float32Array> {
    const { own, expansions } = vectors ?? (await this.#encode(query, texts, how));
    if (texts.length === 0) return own;
    // Where vectors have length 1, stores and their users expect that of a query, too; it changes no ranking.
    const [{ dimensions }, normalize] = [this.encoder, isUnit(own)];
    return combineQueryVectors(own, expansions, [texts.length], { dimensions, alpha, normalize });
  }

  async #encode(query: string, texts: readonly string[], how: EmbedOptions): Promise<QueryVectors> {
    const { expansionRole } = this.#options;
    if (expansionRole === 'query') {
      const { dimensions } = this.encoder;
      const all = await this.#batches.encode([query, ...texts], 'query', how);
      return { own: all.slice(0, dimensions), expansions: all.subarray(dimensions) };
    }
    const encode = (of: readonly string[], role: TextRole) => this.#batches.encode(of, role, how);
    const [own, expansions] = await Promise.all([encode([query], 'query'), encode(texts, expansionRole)]);
    return { own, expansions };
  }

  #keyOf(query: string, { prompt, ...settings }: WritingSettings): string {
    const { fingerprint, contextSize } = this.#generator!;
    return contentKey({ format: WRITERS_FORMAT, fingerprint, contextSize, prompt: prompt.text, ...settings, query });
  }
}

/** The encoder, which keeps vectors of late: queries are asked again, and their expansions come from the cache. Documents are not kept. */
export function remembering(encoder: Encoder): Encoder {
  return 'recall' in encoder ? encoder : rememberingEncoder(encoder, REMEMBERED_BYTES);
}

/** A gate knows better than the rules what to leave alone, but nothing can be written for nothing. */
function ruleOf({ rule, gate }: ExpanderOptions): (query: string) => string | undefined {
  if (rule === false) return () => undefined;
  const blank = (query: string) => (query.trim() === '' ? 'blank' : undefined);
  return rule ?? (gate === undefined ? ruleAgainst : blank);
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
