import { availableParallelism } from 'node:os';
import type { LlamaContext, LlamaModel } from 'node-llama-cpp';
import { openCheckpoint } from '../../models/index.ts';
import { throwIfAborted, UsageError } from '../../system/index.ts';
import { type Adapter, adaptedModel, findAdapters, type LoadedAdapter } from './adapters.ts';
import { loadModel, nativeFault } from './llama-model.ts';
import { type NativeContext, type NativeSampler, nativeLogProbability, nativeParts } from './llama-native.ts';
import { NativeLog } from './llama-runtime.ts';
import { NativeSession } from './native-session.ts';

export interface TokenScorerOptions {
  adapters?: readonly Adapter[] | undefined;
  /**
   * Type of the keys and values. With 'f32' (the default) and weights in F32, scores match those of Transformers to 2e-4; with
   * 'f16', to 5e-3.
   */
  cache?: 'f32' | 'f16' | undefined;
  /** Processor threads. Default: one per core. */
  threads?: number | undefined;
  /** Maximum number of tokens in a sequence. Default 1024, at most the length that the model was trained on. */
  contextSize?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Computes log-probabilities of given tokens under a GGUF language model. */
export interface TokenScorer {
  /** Returns the token ids of a text. Special tokens in it are recognised, and none are added. */
  tokenize(text: string): number[];
  /**
   * Returns ln p(token | all tokens before it) for each token from position `from` on. The first token has no tokens before it.
   * @param tokens at most as many as the context holds
   * @param from at least 1, the default
   * @returns [tokens.length - from]
   */
  score(tokens: readonly number[], from?: number): Promise<Float64Array>;
  close(): Promise<void>;
}

const DEFAULT_CONTEXT = 1024;

/** One row of scores is held for each token of a step: 256 rows of 128,000 values take 130 MB. */
const TOKENS_PER_STEP = 256;

/**
 * Opens a GGUF language model for scoring tokens. llama.cpp computes on the processor.
 * @throws ModelError if a model or adapter is broken; ResourceError if it does not fit into memory
 */
export async function openTokenScorer(path: string, options: TokenScorerOptions = {}): Promise<TokenScorer> {
  const checkpoint = await openCheckpoint(path);
  const facts = adaptedModel(checkpoint);
  await checkpoint.close();
  const adapters = await findAdapters(options.adapters ?? [], facts, options.signal);
  const session = new NativeSession();
  const lines = new NativeLog();
  try {
    const model = await loadModel(session, path, { gpu: false }, options.signal);
    const open = () => openContext(model, adapters, options);
    const context = await session.acquire(open, (opened) => opened.dispose());
    return new LlamaScorer(session, model, context, options.signal);
  } catch (cause) {
    await session.close();
    throw nativeFault(cause, 'llama.cpp cannot open the model', path, await lines.last());
  } finally {
    lines.close();
  }
}

async function openContext(
  model: LlamaModel,
  adapters: readonly LoadedAdapter[],
  { cache = 'f32', threads = availableParallelism(), contextSize = DEFAULT_CONTEXT }: TokenScorerOptions,
): Promise<LlamaContext> {
  const kind = cache === 'f32' ? 'F32' : 'F16';
  return model.createContext({
    sequences: 1,
    contextSize: Math.min(contextSize, model.trainContextSize),
    batchSize: TOKENS_PER_STEP,
    threads,
    failedCreationRemedy: false,
    // On a processor, flash attention computes in half precision, whatever the type of the cache.
    flashAttention: cache === 'f32' ? false : 'auto',
    experimentalKvCacheKeyType: kind,
    experimentalKvCacheValueType: kind,
    ...(adapters.length > 0 && { lora: { adapters: adapters.map(({ file, scale }) => ({ filePath: file, scale })) } }),
  });
}

class LlamaScorer implements TokenScorer {
  readonly #session: NativeSession;
  readonly #model: LlamaModel;
  readonly #owner: LlamaContext;
  readonly #native: NativeContext;
  readonly #sampler: NativeSampler;
  readonly #signal: AbortSignal | undefined;
  /** Sequences are scored one at a time because there is one cache. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(session: NativeSession, model: LlamaModel, context: LlamaContext, signal: AbortSignal | undefined) {
    this.#session = session;
    const { context: native, newSampler } = nativeParts(context);
    this.#model = model;
    this.#owner = context;
    this.#native = native;
    this.#sampler = session.own(newSampler(), (sampler) => sampler.dispose());
    this.#sampler.applyConfig({ temperature: 0 });
    this.#signal = signal;
  }

  tokenize(text: string): number[] {
    return [...this.#model.tokenize(text, true)];
  }

  score(tokens: readonly number[], from = 1): Promise<Float64Array> {
    const work = this.#previous.then(() => this.#score(tokens, from));
    this.#previous = work.catch(() => {});
    return work;
  }

  async #score(tokens: readonly number[], from: number): Promise<Float64Array> {
    if (from < 1 || from > tokens.length || tokens.length > this.#owner.contextSize) {
      throw new UsageError(
        `tokens from ${from} of ${tokens.length} cannot be scored in a context of ${this.#owner.contextSize}`,
        { fix: 'Score from the second token or later, or use a larger context.' },
      );
    }
    this.#session.refuseClosed();
    this.#native.disposeSequence(0);
    const scores = new Float64Array(tokens.length - from);
    // The last token has no successor, so it need not be computed.
    for (let start = 0; start < tokens.length - 1; start += TOKENS_PER_STEP) {
      throwIfAborted(this.#signal);
      const step = tokens.slice(start, Math.min(start + TOKENS_PER_STEP, tokens.length - 1));
      await this.#scoreStep(tokens, start, step, from, scores);
    }
    return scores;
  }

  async #scoreStep(
    tokens: readonly number[],
    start: number,
    step: readonly number[],
    from: number,
    scores: Float64Array,
  ): Promise<void> {
    const wanted = [...step.keys()].filter((index) => start + index + 1 >= from);
    this.#session.refuseClosed();
    this.#native.initBatch(step.length);
    const rows = this.#native.addToBatch(0, start, Uint32Array.from(step), Uint32Array.from(wanted));
    await this.#session.call(() => this.#native.decodeBatch());
    for (const [position, index] of wanted.entries()) {
      const next = start + index + 1;
      scores[next - from] = await this.#session.call(() =>
        nativeLogProbability(this.#native, rows[position]!, this.#sampler, tokens[next]!),
      );
    }
  }

  async close(): Promise<void> {
    await this.#previous;
    await this.#session.close();
  }
}

/**
 * Computes the log-probabilities of several token sequences: opens the model, scores and closes it. See {@link TokenScorer.score}.
 * @returns one row per sequence, [tokens - from]
 */
export async function scoreTokens(
  path: string,
  sequences: readonly { tokens: readonly number[]; from?: number | undefined }[],
  options: TokenScorerOptions = {},
): Promise<Float64Array[]> {
  const scorer = await openTokenScorer(path, options);
  try {
    const rows: Float64Array[] = [];
    for (const { tokens, from } of sequences) rows.push(await scorer.score(tokens, from));
    return rows;
  } finally {
    await scorer.close();
  }
}
