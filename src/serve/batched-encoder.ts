import type { Encoder, TextRole } from '../embed/index.ts';
import type { RememberingEncoder } from '../retrieve/index.ts';
import { AbortedError } from '../system/index.ts';
import { mayBeOfOneText } from './encoder-faults.ts';
import type { EmbedOptions } from './expander-options.ts';
import { inSpan } from './spans.ts';

export interface BatchedEncoderOptions {
  /** Most texts per call of the encoder. Default 128. */
  batchSize?: number | undefined;
  /** Most calls at once. Default: as many as the encoder asks for, or 1. */
  callsAtOnce?: number | undefined;
  /** Receives what made a call fail. */
  onFailure?: ((error: unknown) => void) | undefined;
}

const BATCH_SIZE = 128;

/** Most characters per call, some 3,000 tokens: whoever comes next waits for a fraction of a second, however long the texts are. */
const MOST_CHARACTERS = 12_000;

/** The texts of one caller. */
interface Job {
  texts: readonly string[];
  role: TextRole;
  /** Row-major // [texts, dimensions] */
  vectors: Float32Array;
  /** The first text that no call has taken. */
  next: number;
  /** Number of texts without a vector. */
  left: number;
  /** Tokens that the encoder read; undefined as long as it has said nothing. */
  tokens: number | undefined;
  /** The caller has left, or knows that it failed. */
  isGone: boolean;
  /** Of the calls under way: called when the caller leaves. */
  onLeave: Set<() => void>;
  resolve(vectors: Float32Array): void;
  reject(reason: unknown): void;
}

/** What a call encodes of a job: its texts from `start` up to `end`. */
interface Piece {
  job: Job;
  start: number;
  end: number;
}

/**
 * Encodes the texts of many callers together. While the encoder is at work, further texts gather; the next call takes them at once.
 * Queries and documents take turns, and long lists are encoded in pieces, so a query does not wait for a whole corpus. A
 * caller that is alone never waits, and one that leaves is dropped at once; a call that nobody waits for any more is ended. Texts that the
 * encoder remembers wait for none.
 */
export class BatchedEncoder {
  readonly encoder: Encoder & Partial<Pick<RememberingEncoder, 'recall'>>;
  readonly #batchSize: number;
  readonly #callsAtOnce: number;
  readonly #onFailure: ((error: unknown) => void) | undefined;
  /** Those with texts that no call has taken, in the order in which they came. */
  readonly #jobs: Job[] = [];
  #calls = 0;
  #lastRole: TextRole | undefined;

  constructor(encoder: Encoder, { batchSize = BATCH_SIZE, callsAtOnce, onFailure }: BatchedEncoderOptions = {}) {
    [this.encoder, this.#onFailure] = [encoder, onFailure];
    this.#batchSize = batchSize;
    this.#callsAtOnce = callsAtOnce ?? encoder.batchesAtOnce ?? 1;
  }

  /** Number of texts that wait. */
  get waiting(): number {
    return this.#jobs.reduce((sum, { texts, next }) => sum + texts.length - next, 0);
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
      const { job, vectors } = this.#jobOf(texts, role);
      const leave = () => this.#drop(job, new AbortedError());
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

  #jobOf(texts: readonly string[], role: TextRole): { job: Job; vectors: Promise<Float32Array> } {
    const job: Job = {
      ...{ texts, role, vectors: new Float32Array(texts.length * this.encoder.dimensions) },
      ...{ next: 0, left: texts.length, tokens: undefined, isGone: false, onLeave: new Set() },
      ...{ resolve() {}, reject() {} },
    };
    const vectors = new Promise<Float32Array>((resolve, reject) => Object.assign(job, { resolve, reject }));
    return { job, vectors };
  }

  #drop(job: Job, reason: unknown): void {
    const at = this.#jobs.indexOf(job);
    if (at >= 0) this.#jobs.splice(at, 1);
    if (job.isGone) return;
    job.isGone = true;
    job.reject(reason);
    for (const onLeave of job.onLeave) onLeave();
  }

  async #work(): Promise<void> {
    this.#calls++;
    // Callers of the same moment share the first call, too.
    await Promise.resolve();
    for (let role = this.#nextRole(); role !== undefined; role = this.#nextRole()) {
      this.#lastRole = role;
      await this.#call(this.#take(role));
    }
    this.#calls--;
  }

  #nextRole(): TextRole | undefined {
    const other = this.#jobs.find(({ role }) => role !== this.#lastRole);
    return (other ?? this.#jobs[0])?.role;
  }

  /** Takes the texts of one role that fit into a call; one at least. */
  #take(role: TextRole): Piece[] {
    const pieces: Piece[] = [];
    let [texts, characters] = [0, 0];
    const fits = (text: string) =>
      texts === 0 || (texts < this.#batchSize && characters + text.length <= MOST_CHARACTERS);
    for (const job of this.#jobs.filter((one) => one.role === role)) {
      const start = job.next;
      for (; job.next < job.texts.length && fits(job.texts[job.next]!); job.next++) {
        texts++;
        characters += job.texts[job.next]!.length;
      }
      if (job.next > start) pieces.push({ job, start, end: job.next });
      if (job.next < job.texts.length) break;
      this.#jobs.splice(this.#jobs.indexOf(job), 1);
    }
    return pieces;
  }

  async #call(given: readonly Piece[]): Promise<void> {
    const pieces = given.filter(({ job }) => !job.isGone);
    if (pieces.length === 0) return;
    const stop = new AbortController();
    let present = pieces.length;
    const leave = () => --present === 0 && stop.abort();
    for (const { job } of pieces) job.onLeave.add(leave);
    try {
      await this.#encodePieces(pieces, stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) this.#onFailure?.(error);
      // The text of one caller must not fail the others.
      if (pieces.length > 1 && !stop.signal.aborted && mayBeOfOneText(error)) {
        for (const piece of pieces) await this.#call([piece]);
      } else for (const { job } of pieces) this.#drop(job, error);
    } finally {
      for (const { job } of pieces) job.onLeave.delete(leave);
    }
  }

  async #encodePieces(pieces: readonly Piece[], signal: AbortSignal): Promise<void> {
    const { dimensions } = this.encoder;
    const texts = pieces.flatMap(({ job, start, end }) => job.texts.slice(start, end));
    const owners = pieces.flatMap((piece) => new Array<Piece>(piece.end - piece.start).fill(piece));
    const tokens = new Map<Piece, number>();
    const onTokens = (row: number, count: number) => tokens.set(owners[row]!, (tokens.get(owners[row]!) ?? 0) + count);
    const vectors = await this.encoder.encode(texts, pieces[0]!.job.role, { signal, onTokens });
    let row = 0;
    for (const piece of pieces) {
      const { job, start, end } = piece;
      job.vectors.set(vectors.subarray(row * dimensions, (row + end - start) * dimensions), start * dimensions);
      row += end - start;
      const read = tokens.get(piece);
      if (read !== undefined) job.tokens = (job.tokens ?? 0) + read;
      job.left -= end - start;
      if (job.left === 0) job.resolve(job.vectors);
    }
  }
}
