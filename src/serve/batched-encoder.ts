import type { Encoder, TextRole } from '../embed/index.ts';
import { AbortedError } from '../system/index.ts';

export interface BatchedEncoderOptions {
  /** Most texts per call of the encoder. Default 32. */
  batchSize?: number | undefined;
}

interface Job {
  texts: readonly string[];
  role: TextRole;
  signal: AbortSignal | undefined;
  resolve(vectors: Float32Array): void;
  reject(reason: unknown): void;
}

/**
 * Encodes the texts of many callers together. While the encoder works, further texts gather; the next call takes them at once. A
 * caller that is alone never waits.
 */
export class BatchedEncoder {
  readonly encoder: Encoder;
  readonly #batchSize: number;
  readonly #jobs: Job[] = [];
  #isBusy = false;

  constructor(encoder: Encoder, { batchSize = 32 }: BatchedEncoderOptions = {}) {
    this.encoder = encoder;
    this.#batchSize = batchSize;
  }

  /** Number of texts that wait or are being encoded. */
  get pending(): number {
    return this.#jobs.reduce((sum, { texts }) => sum + texts.length, 0);
  }

  /** @returns row-major // [texts, dimensions] */
  encode(texts: readonly string[], role: TextRole, signal?: AbortSignal): Promise<Float32Array> {
    if (texts.length === 0) return Promise.resolve(new Float32Array(0));
    return new Promise((resolve, reject) => {
      this.#jobs.push({ texts, role, signal, resolve, reject });
      if (!this.#isBusy) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#isBusy = true;
    // Callers of the same moment share the first call, too.
    await Promise.resolve();
    for (let [first] = this.#jobs; first !== undefined; [first] = this.#jobs) {
      const batch = this.#take(first.role);
      const texts = batch.flatMap((job) => job.texts);
      try {
        const vectors = texts.length === 0 ? new Float32Array(0) : await this.encoder.encode(texts, first.role);
        let start = 0;
        for (const job of batch) {
          const end = start + job.texts.length * this.encoder.dimensions;
          job.resolve(vectors.slice(start, end));
          start = end;
        }
      } catch (error) {
        for (const job of batch) job.reject(error);
      }
    }
    this.#isBusy = false;
  }

  /** Takes the jobs of one role that fit into a call; one that is larger alone. Those whose callers left are dropped. */
  #take(role: TextRole): Job[] {
    const batch: Job[] = [];
    let size = 0;
    for (let at = 0; at < this.#jobs.length; ) {
      const job = this.#jobs[at]!;
      if (job.signal?.aborted) {
        this.#jobs.splice(at, 1);
        job.reject(new AbortedError());
      } else if (job.role === role && (batch.length === 0 || size + job.texts.length <= this.#batchSize)) {
        this.#jobs.splice(at, 1);
        batch.push(job);
        size += job.texts.length;
      } else at++;
    }
    return batch;
  }
}
