import type { Encoder, TextRole } from '../embed/index.ts';

/** Maximum size of the kept vectors, in bytes: 175,000 vectors of 384 dimensions. The oldest are dropped first. */
const MOST_BYTES = 256 * 2 ** 20;

/**
 * An encoder that keeps the vectors of short lists of texts in memory, because alpha tuning, controls and arms embed the
 * same queries and expansions repeatedly. Corpora are not kept: their vectors are in files.
 */
export function rememberingEncoder(encoder: Encoder, mostBytes = MOST_BYTES): Encoder {
  const known = new Map<string, Float32Array>();
  const keyOf = (text: string, role: TextRole) => `${role}\n${text}`;
  return {
    id: encoder.id,
    fingerprint: encoder.fingerprint,
    documentFingerprint: encoder.documentFingerprint,
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
