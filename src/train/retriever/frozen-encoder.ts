import { createHash } from 'node:crypto';
import { openEncoderRuntime, planAlike } from '../../embed/index.ts';
import { buildBertEncoder, type Runtime } from '../../nn/index.ts';
import { paddedInputs } from './packed-texts.ts';
import type { RetrieverBase } from './retriever-base.ts';

/** Most bytes of kept vectors: 700,000 of 384 numbers. */
const MOST_BYTES = 2 ** 30;

/**
 * The encoder as it came, for vectors that no training changes: those of a teacher, and of documents that stay as they are. A text's
 * vector has the same bits whatever is encoded with it, so it is kept for the next epoch, and an interrupted run ends in equal bytes.
 */
export class FrozenEncoder {
  readonly #runtime: Runtime;
  readonly #base: RetrieverBase;
  /** Vectors by the hash of the tokens. */
  readonly #kept = new Map<string, Float32Array>();
  /** Texts that went through the encoder. */
  encoded = 0;

  private constructor(runtime: Runtime, base: RetrieverBase) {
    this.#runtime = runtime;
    this.#base = base;
  }

  /** @throws ModelError, ResourceError */
  static async open(
    base: RetrieverBase,
    { cache, threads, signal }: { cache: string; threads: number; signal?: AbortSignal | undefined },
  ): Promise<FrozenEncoder> {
    const { recipe, checkpoint } = base;
    const encoder = buildBertEncoder(checkpoint, recipe.config, {
      ...{ pooling: recipe.pooling, normalize: false, precision: 'f32' },
    });
    const { fingerprint, name } = recipe.model;
    const compile = { cache, fingerprint, about: name, signal };
    return new FrozenEncoder(await openEncoderRuntime(encoder, { ...compile, threads, precision: 'f32' }), base);
  }

  /** Pooled vectors of texts, not normalised // [texts, hidden] */
  async vectors(texts: readonly Int32Array[], signal?: AbortSignal): Promise<Float32Array> {
    const hidden = this.#base.recipe.config.hidden_size;
    const keys = texts.map(keyOf);
    const found = await this.#encode(new Map(keys.map((key, at) => [key, texts[at]!])), signal);
    const result = new Float32Array(texts.length * hidden);
    for (const [at, key] of keys.entries()) result.set((this.#kept.get(key) ?? found.get(key))!, at * hidden);
    return result;
  }

  close(): Promise<void> {
    return this.#runtime.close();
  }

  /** Encodes the texts whose vectors are not kept. */
  async #encode(texts: ReadonlyMap<string, Int32Array>, signal?: AbortSignal): Promise<Map<string, Float32Array>> {
    const { recipe, padId } = this.#base;
    const hidden = recipe.config.hidden_size;
    const found = new Map<string, Float32Array>();
    const missing = [...texts].filter(([key]) => !this.#kept.has(key));
    const tokens = missing.map(([, one]) => one);
    const lengths = tokens.map(({ length }) => length);
    await Promise.all(
      planAlike(lengths, { longest: recipe.maxLength, alone: false }).map(async ({ texts: members, longest }) => {
        const { vectors } = await this.#runtime.run(paddedInputs(tokens, members, { longest, padId }), signal);
        for (const [row, at] of members.entries()) {
          found.set(missing[at]![0], (vectors!.data as Float32Array).slice(row * hidden, (row + 1) * hidden));
        }
      }),
    );
    this.encoded += missing.length;
    for (const [key, vector] of found) {
      if (this.#kept.size * hidden * 4 < MOST_BYTES) this.#kept.set(key, vector);
    }
    return found;
  }
}

function keyOf({ buffer, byteOffset, byteLength }: Int32Array): string {
  return createHash('sha1')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('base64');
}
