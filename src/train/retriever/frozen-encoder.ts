import { buildBertEncoder, compileModel, Runtime } from '../../nn/index.ts';
import { throwIfAborted } from '../../system/index.ts';
import { cutMiniBatches, type MiniBatchLimits, paddedTexts } from './mini-batches.ts';
import type { RetrieverBase } from './retriever-base.ts';

/** The encoder as it came, for vectors that no training changes: those of a teacher, and of documents that stay as they are. */
export class FrozenEncoder {
  readonly #runtime: Runtime;
  readonly #base: RetrieverBase;
  readonly #limits: MiniBatchLimits;

  private constructor(runtime: Runtime, base: RetrieverBase, limits: MiniBatchLimits) {
    this.#runtime = runtime;
    this.#base = base;
    this.#limits = limits;
  }

  /** @throws ModelError, ResourceError */
  static async open(
    base: RetrieverBase,
    {
      cache,
      threads,
      signal,
      ...limits
    }: MiniBatchLimits & { cache: string; threads: number; signal?: AbortSignal | undefined },
  ): Promise<FrozenEncoder> {
    const { recipe, checkpoint } = base;
    const options = { pooling: recipe.pooling, normalize: false, precision: 'f32' as const };
    const { graph, weights } = buildBertEncoder(checkpoint, recipe.config, options);
    const { fingerprint, name } = recipe.model;
    const { file } = await compileModel(graph, weights.loaders, { cache, fingerprint, about: name, signal });
    return new FrozenEncoder(await Runtime.open(file, { threads }), base, limits);
  }

  /** Pooled vectors of texts, not normalised // [texts, hidden] */
  async vectors(texts: readonly Int32Array[], signal?: AbortSignal): Promise<Float32Array> {
    const hidden = this.#base.recipe.config.hidden_size;
    const result = new Float32Array(texts.length * hidden);
    const lengths = texts.map(({ length }) => length);
    for (const batch of cutMiniBatches(lengths, this.#limits)) {
      throwIfAborted(signal);
      const { vectors } = await this.#runtime.run(paddedTexts(texts, batch, this.#base.padId), signal);
      const rows = vectors!.data as Float32Array;
      for (const [at, row] of batch.rows.entries()) {
        result.set(rows.subarray(at * hidden, (at + 1) * hidden), row * hidden);
      }
    }
    return result;
  }

  close(): Promise<void> {
    return this.#runtime.close();
  }
}
