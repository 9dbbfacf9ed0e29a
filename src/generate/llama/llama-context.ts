import type { LlamaContext } from 'node-llama-cpp';
import { type NativeContext, type NativeSampler, nativeLogProbability, nativeParts } from './llama-native.ts';
import type { NativeSession } from './native-session.ts';
import type { ScoredTokens, TokenScores } from './sampler.ts';
import type { BatchItem, SequenceContext } from './sequence-context.ts';
import { ThreadChoice } from './thread-choice.ts';

/** Two samplers per sequence: one cuts off the head of the vocabulary, the other sums over the complete vocabulary. */
interface SequenceSamplers {
  head: NativeSampler;
  whole: NativeSampler;
}

/** A {@link SequenceContext} over a llama.cpp context. */
export class LlamaSequences implements SequenceContext {
  readonly sequences: number;
  readonly size: number;
  readonly #session: NativeSession;
  readonly #native: NativeContext;
  readonly #samplers: SequenceSamplers[];
  readonly #vocabularySize: number;
  readonly #threads: number;
  readonly #choice: ThreadChoice;

  /**
   * @param session owns the context and, from now on, its samplers
   * @throws ModelError for an unknown version of node-llama-cpp
   */
  constructor(
    session: NativeSession,
    context: LlamaContext,
    o: { threads: number; vocabularySize: number; size: number },
  ) {
    const { context: native, newSampler } = nativeParts(context);
    this.#session = session;
    this.#native = native;
    this.sequences = context.totalSequences;
    this.size = Math.min(o.size, context.contextSize);
    this.#vocabularySize = o.vocabularySize;
    this.#samplers = Array.from({ length: this.sequences }, () => {
      const own = () => session.own(newSampler(), (sampler) => sampler.dispose());
      return { head: own(), whole: own() };
    });
    this.#threads = o.threads;
    this.#choice = new ThreadChoice(o.threads);
  }

  async decode(items: readonly BatchItem[]): Promise<(TokenScores | undefined)[]> {
    if (items.length === 0) return [];
    this.#session.refuseClosed();
    this.#native.initBatch(items.reduce((sum, { tokens }) => sum + tokens.length, 0));
    const rows = items.map(({ sequence, start, tokens, scores }) => {
      const wanted = scores ? [tokens.length - 1] : [];
      return this.#native.addToBatch(sequence, start, Uint32Array.from(tokens), Uint32Array.from(wanted))[0];
    });
    await this.#compute(items.every(({ tokens }) => tokens.length === 1));
    return items.map(({ sequence }, index) => {
      const row = rows[index];
      if (row === undefined) return undefined;
      return new LlamaScores(this.#session, this.#native, this.#samplers[sequence]!, row, this.#vocabularySize);
    });
  }

  /** @param writing whether this step advances every text by one token; prompts always use all threads */
  async #compute(writing: boolean): Promise<void> {
    this.#native.setThreads(writing ? this.#choice.threads : this.#threads);
    const started = performance.now();
    await this.#session.call(() => this.#native.decodeBatch());
    if (writing) this.#choice.record(performance.now() - started);
  }

  async copy(target: number, source: number): Promise<void> {
    await this.#session.call(() => this.#native.copySequenceStateFromOtherSequence(target, source));
  }

  trim(sequence: number, length: number): boolean {
    this.#session.refuseClosed();
    if (length > 0 && this.#native.removeTokenCellsFromSequence(sequence, length, -1)) return true;
    this.#native.disposeSequence(sequence);
    return length === 0;
  }
}

/** One row of logits inside llama.cpp. The work runs on libuv's threads. */
class LlamaScores implements TokenScores {
  readonly vocabularySize: number;
  readonly #session: NativeSession;
  readonly #native: NativeContext;
  readonly #samplers: SequenceSamplers;
  readonly #row: number;

  constructor(
    session: NativeSession,
    native: NativeContext,
    samplers: SequenceSamplers,
    row: number,
    vocabularySize: number,
  ) {
    this.#session = session;
    this.#native = native;
    this.#samplers = samplers;
    this.#row = row;
    this.vocabularySize = vocabularySize;
  }

  async best(): Promise<number> {
    return this.#session.call(() => {
      this.#samplers.whole.applyConfig({ temperature: 0 });
      return this.#native.sampleToken(this.#row, this.#samplers.whole);
    });
  }

  async top(count: number, temperature: number): Promise<ScoredTokens> {
    const filter: [number[], boolean, boolean, boolean, number] = [[], false, false, false, count];
    const [, , , logits] = await this.#session.call(() => {
      this.#samplers.head.applyConfig({ temperature, topK: count, seed: 0 });
      return this.#native.sampleToken(this.#row, this.#samplers.head, false, false, filter, false);
    });
    const found: ScoredTokens = { tokens: [], scores: [] };
    for (let index = 0; index + 1 < (logits?.length ?? 0); index += 2) {
      found.tokens.push(logits![index]!);
      found.scores.push(logits![index + 1]!);
    }
    return found;
  }

  async totalWeight(temperature: number): Promise<number> {
    const [, , , , total] = await this.#session.call(() => {
      // At temperature 1 the greedy chain sums the same logits and draws nothing.
      this.#samplers.whole.applyConfig(temperature === 1 ? { temperature: 0 } : { temperature, seed: 0 });
      return this.#native.sampleToken(this.#row, this.#samplers.whole, false, false, false, true);
    });
    return total!;
  }

  logProbability(token: number): Promise<number> {
    return this.#session.call(async () => {
      this.#samplers.whole.applyConfig({ temperature: 0 });
      return nativeLogProbability(this.#native, this.#row, this.#samplers.whole, token);
    });
  }
}
