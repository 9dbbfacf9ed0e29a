import type { EncodeOptions, Encoder, TextRole } from '../embed/index.ts';

/** Maximum size of the kept vectors, in bytes: 175,000 vectors of 384 dimensions. The oldest are dropped first. */
const MOST_BYTES = 256 * 2 ** 20;

interface Remembered {
  vector: Float32Array;
  tokens: number | undefined;
}

/**
 * An encoder that keeps the vectors of short lists of texts in memory, because alpha tuning, controls and arms embed the
 * same queries and expansions repeatedly. Corpora are not kept: their vectors are in files.
 */
export function rememberingEncoder(encoder: Encoder, mostBytes = MOST_BYTES): Encoder {
  const known = new Map<string, Remembered>();
  const keyOf = (text: string, role: TextRole) => `${role}\n${text}`;
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

  return {
    id: encoder.id,
    fingerprint: encoder.fingerprint,
    documentFingerprint: encoder.documentFingerprint,
    dimensions,
    settings: encoder.settings,
    batchesAtOnce: encoder.batchesAtOnce,
    async encode(texts, role, options = {}) {
      if (role === 'document') return encoder.encode(texts, role, options);
      // Other calls may drop what is known now, while this one waits.
      const found = new Map(texts.map((text) => [text, known.get(keyOf(text, role))]));
      const missing = [...found.keys()].filter((text) => found.get(text) === undefined);
      const fresh = await encodeNew(missing, role, options);
      for (const [at, text] of missing.entries()) {
        found.set(text, fresh[at]!);
        known.set(keyOf(text, role), fresh[at]!);
      }
      const vectors = new Float32Array(texts.length * dimensions);
      for (const [row, text] of texts.entries()) {
        const { vector, tokens } = found.get(text)!;
        vectors.set(vector, row * dimensions);
        if (tokens !== undefined) options.onTokens?.(row, tokens);
      }
      for (const oldest of known.keys()) {
        if (known.size * dimensions * 4 <= mostBytes) break;
        known.delete(oldest);
      }
      return vectors;
    },
    close: () => encoder.close(),
  };
}
