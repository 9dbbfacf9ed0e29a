import type { Encoder, TextRole } from '../embed/index.ts';
import type { RememberingEncoder } from '../retrieve/index.ts';
import { AbortedError } from '../system/index.ts';
import { mayBeOfOneText } from './encoder-faults.ts';
import type { EmbedOptions } from './expander-options.ts';
import { inSpan } from './spans.ts';

export interface BatchedEncoderOptions {
  /** Most texts per call of the encoder. Default 32. */
  batchSize?: number | undefined;
  /** Most calls at once. Default: as many as the encoder asks for, or 1. */
  callsAtOnce?: number | undefined;
  /** Receives what made a call fail. */
  onFailure?: ((error: unknown) => void) | undefined;
}

/** The texts of one caller. */
interface Job {
  texts: readonly string[];
  role: TextRole;
  /** Tokens that the encoder read; undefined as long as it has said nothing. */
  tokens: number | undefined;
  isGone: boolean;
  /** Set while it is encoded: called when the caller leaves. */
  onLeave?: () => void;
  resolve(vectors: Float32Array): void;
  reject(reason: unknown): void;
}

/**
 * Encodes the texts of many callers together. While the encoder is at work, further texts gather; the next call takes them at once. A
 * caller that is alone never waits, and one that leaves is dropped at once; a call that nobody waits for any more is ended. Texts that the
 * encoder remembers wait for none.
 */
export class BatchedEncoder {
  readonly encoder: Encoder & Partial<Pick<RememberingEncoder, 'recall'>>;
  readonly #batchSize: number;
  readonly #jobs: Job[] = [];
  readonly #callsAtOnce: number;
  readonly #onFailure: ((error: unknown) => void) | undefined;
  #calls = 0;

  constructor(encoder: Encoder, { batchSize = 32, callsAtOnce, onFailure }: BatchedEncoderOptions = {}) {
    [this.encoder, this.#onFailure] = [encoder, onFailure];
    this.#batchSize = batchSize;
    this.#callsAtOnce = callsAtOnce ?? encoder.batchesAtOnce ?? 1;
  }

  /** Number of texts that wait. */
  get waiting(): number {
    return this.#jobs.reduce((sum, { texts }) => sum + texts.length, 0);
  }

  /** @returns row-major // [texts, dimensions] @throws AbortedError after the signal; what the encoder throws */
  encode(texts: readonly string[], role: TextRole, { signal, onTokens }: EmbedOptions = {}): Promise<Float32Array> {
    if (texts.length === 0) return Promise.resolve(new Float32Array(0));
    return inSpan('encode', { attributes: { 'llm_qe.texts': texts.length, 'llm_qe.role': role } }, async (span) => {
      const recalled = signal?.aborted ? undefined : this.#recall(texts, role, onTokens);
      if (recalled !== undefined) {
        span.setAttribute('llm_qe.remembered', true);
        return recalled;
      }
      const job: Job = { texts, role, tokens: undefined, isGone: false, resolve() {}, reject() {} };
      const leave = () => this.#leave(job);
      const vectors = new Promise<Float32Array>((resolve, reject) => Object.assign(job, { resolve, reject }));
      signal?.addEventListener('abort', leave, { once: true });
      this.#jobs.push(job);
      if (signal?.aborted) leave();
      if (this.#calls < this.#callsAtOnce) void this.#work();
      try {
        return await vectors;
      } finally {
        signal?.removeEventListener('abort', leave);
        if (job.tokens !== undefined) {
          span.setAttribute('llm_qe.encoded_tokens', job.tokens);
          onTokens?.(job.tokens);
        }
      }
    });
  }

  #recall(texts: readonly string[], role: TextRole, tell: EmbedOptions['onTokens']): Float32Array | undefined {
    let sum: number | undefined;
    const onTokens = (_row: number, tokens: number) => {
      sum = (sum ?? 0) + tokens;
    };
    const vectors = this.encoder.recall?.(texts, role, { onTokens });
    if (vectors !== undefined && sum !== undefined) tell?.(sum);
    return vectors;
  }

  #leave(job: Job): void {
    const at = this.#jobs.indexOf(job);
    if (at >= 0) this.#jobs.splice(at, 1);
    job.isGone = true;
    job.reject(new AbortedError());
    job.onLeave?.();
  }

  async #work(): Promise<void> {
    this.#calls++;
    // Callers of the same moment share the first call, too.
    await Promise.resolve();
    for (let [first] = this.#jobs; first !== undefined; [first] = this.#jobs) await this.#call(this.#take(first.role));
    this.#calls--;
  }

  async #call(batch: readonly Job[]): Promise<void> {
    const texts = batch.flatMap((job) => job.texts);
    const owners = batch.flatMap((job) => job.texts.map(() => job));
    const stop = new AbortController();
    let present = 0;
    for (const job of batch) {
      job.tokens = undefined;
      if (!job.isGone) present++;
    }
    if (present === 0) return;
    for (const job of batch) job.onLeave = () => --present === 0 && stop.abort();
    const onTokens = (row: number, tokens: number) => {
      const job = owners[row]!;
      job.tokens = (job.tokens ?? 0) + tokens;
    };
    try {
      const vectors = await this.encoder.encode(texts, batch[0]!.role, { signal: stop.signal, onTokens });
      let start = 0;
      for (const job of batch) {
        const end = start + job.texts.length * this.encoder.dimensions;
        job.resolve(vectors.slice(start, end));
        start = end;
      }
    } catch (error) {
      if (!stop.signal.aborted) this.#onFailure?.(error);
      // The text of one caller must not fail the others.
      if (batch.length > 1 && !stop.signal.aborted && mayBeOfOneText(error)) {
        for (const job of batch) await this.#call([job]);
      } else for (const job of batch) job.reject(error);
    }
  }

  /** Takes the jobs of one role that fit into a call; one that is larger alone. */
  #take(role: TextRole): Job[] {
    const batch: Job[] = [];
    let size = 0;
    for (let at = 0; at < this.#jobs.length; ) {
      const job = this.#jobs[at]!;
      if (job.role === role && (batch.length === 0 || size + job.texts.length <= this.#batchSize)) {
        this.#jobs.splice(at, 1);
        batch.push(job);
        size += job.texts.length;
      } else at++;
    }
    return batch;
  }
}
