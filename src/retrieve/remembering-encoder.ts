import type { EncodeOptions, Encoder, TextRole } from '../embed/index.ts';

/** Maximum size of what is kept, in bytes: 150,000 vectors of 384 dimensions with their texts. The least used are dropped first. */
const MOST_BYTES = 256 * 2 ** 20;

interface Remembered {
  vector: Float32Array;
  tokens: number | undefined;
}

export interface RememberingEncoder extends Encoder {
  /** Returns the vectors of the texts, if all are known, without asking the encoder. // [texts, dimensions] */
  recall(texts: readonly string[], role: TextRole, options?: Pick<EncodeOptions, 'onTokens'>): Float32Array | undefined;
}

/**
 * An encoder that keeps the vectors of short lists of texts in memory, because alpha tuning, controls and arms embed the
 * same queries and expansions repeatedly, and servers those of queries that many ask. Corpora are not kept: their vectors are in files.
 * @param mostBytes of texts and vectors
 */
export function rememberingEncoder(encoder: Encoder, mostBytes = MOST_BYTES): RememberingEncoder {
  const known = new VectorMemory(encoder.dimensions, mostBytes);
  const { dimensions } = encoder;

  async function encodeNew(texts: readonly string[], role: TextRole, options: EncodeOptions): Promise<Remembered[]> {
    if (texts.length === 0) return [];
    const tokens = new Array<number | undefined>(texts.length).fill(undefined);
    const vectors = await encoder.encode(texts, role, {
      ...options,
      onTokens: (row, count) => {
        tokens[row] = count;
      },
    });
    return tokens.map((count, row) => ({
      vector: vectors.slice(row * dimensions, (row + 1) * dimensions),
      tokens: count,
    }));
  }

  function joined(texts: readonly string[], found: ReadonlyMap<string, Remembered>, options: EncodeOptions) {
    const vectors = new Float32Array(texts.length * dimensions);
    for (const [row, text] of texts.entries()) {
      const { vector, tokens } = found.get(text)!;
      vectors.set(vector, row * dimensions);
      if (tokens !== undefined) options.onTokens?.(row, tokens);
    }
    return vectors;
  }

  return {
    id: encoder.id,
    fingerprint: encoder.fingerprint,
    documentFingerprint: encoder.documentFingerprint,
    dimensions,
    settings: encoder.settings,
    batchesAtOnce: encoder.batchesAtOnce,
    recall(texts, role, options = {}) {
      const found = new Map<string, Remembered>();
      for (const text of texts) {
        const one = known.get(text, role);
        if (one === undefined) return undefined;
        found.set(text, one);
      }
      return joined(texts, found, options);
    },
    async encode(texts, role, options = {}) {
      if (role === 'document') return encoder.encode(texts, role, options);
      // Other calls may drop what is known now, while this one waits.
      const found = new Map(texts.map((text) => [text, known.get(text, role)]));
      const missing = [...found.keys()].filter((text) => found.get(text) === undefined);
      const fresh = await encodeNew(missing, role, options);
      for (const [at, text] of missing.entries()) {
        found.set(text, fresh[at]!);
        known.set(text, role, fresh[at]!);
      }
      return joined(texts, found as Map<string, Remembered>, options);
    },
    close: () => encoder.close(),
  };
}

/** Vectors by text, of a bounded size; the least recently used go first. */
class VectorMemory {
  readonly #vectorBytes: number;
  readonly #mostBytes: number;
  /** A map keeps the order in which entries were set. */
  readonly #known = new Map<string, Remembered>();
  #bytes = 0;

  constructor(dimensions: number, mostBytes: number) {
    [this.#vectorBytes, this.#mostBytes] = [dimensions * Float32Array.BYTES_PER_ELEMENT, mostBytes];
  }

  get(text: string, role: TextRole): Remembered | undefined {
    const key = keyOf(text, role);
    const found = this.#known.get(key);
    if (found === undefined) return undefined;
    this.#known.delete(key);
    this.#known.set(key, found);
    return found;
  }

  set(text: string, role: TextRole, one: Remembered): void {
    const key = keyOf(text, role);
    if (!this.#known.delete(key)) this.#bytes += this.#sizeOf(key);
    this.#known.set(key, one);
    for (const oldest of this.#known.keys()) {
      if (this.#bytes <= this.#mostBytes) break;
      this.#known.delete(oldest);
      this.#bytes -= this.#sizeOf(oldest);
    }
  }

  /** Long texts count, too: a caller chooses them. */
  #sizeOf(key: string): number {
    return this.#vectorBytes + 2 * key.length;
  }
}

function keyOf(text: string, role: TextRole): string {
  return `${role}\n${text}`;
}
