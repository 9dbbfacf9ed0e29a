import type { Encoder, TextRole } from '../embed/index.ts';

/** Bytes of vectors kept at most; the oldest go first. 175,000 vectors of 384 dimensions. */
const MOST_BYTES = 256 * 2 ** 20;

/**
 * An encoder that remembers the vectors of short lists of texts. Tuning alpha, controls and arms embed the same queries and
 * expansions over and over. A corpus is not remembered: its vectors have a file of their own.
 */
export function rememberingEncoder(encoder: Encoder, mostBytes = MOST_BYTES): Encoder {
  const known = new Map<string, Float32Array>();
  const keyOf = (text: string, role: TextRole) => `${role}\n${text}`;
  return {
    id: encoder.id,
    fingerprint: encoder.fingerprint,
    dimensions: encoder.dimensions,
    settings: encoder.settings,
    async encode(texts, role, options) {
      if (role === 'document') return encoder.encode(texts, role, options);
      const missing = [...new Set(texts.filter((text) => !known.has(keyOf(text, role))))];
      const fresh = missing.length === 0 ? undefined : await encoder.encode(missing, role, options);
      const { dimensions } = encoder;
      missing.forEach((text, row) => {
        known.set(keyOf(text, role), fresh!.slice(row * dimensions, (row + 1) * dimensions));
      });
      const vectors = new Float32Array(texts.length * dimensions);
      texts.forEach((text, row) => {
        vectors.set(known.get(keyOf(text, role))!, row * dimensions);
      });
      for (const oldest of known.keys()) {
        if (known.size * dimensions * 4 <= mostBytes) break;
        known.delete(oldest);
      }
      return vectors;
    },
    close: () => encoder.close(),
  };
}
