import type { Encoder, TextRole } from '../embed/index.ts';

/** Vectors kept at most; where they would be more, all go. */
const MOST = 20_000;

/**
 * An encoder that remembers the vectors of short lists of texts. Tuning alpha, controls and arms embed the same queries and
 * expansions over and over. A corpus is not remembered: its vectors have a file of their own.
 */
export function rememberingEncoder(encoder: Encoder): Encoder {
  const known = new Map<string, Float32Array>();
  const keyOf = (text: string, role: TextRole) => `${role}\n${text}`;
  return {
    id: encoder.id,
    fingerprint: encoder.fingerprint,
    dimensions: encoder.dimensions,
    settings: encoder.settings,
    async encode(texts, role, options) {
      if (role === 'document') return encoder.encode(texts, role, options);
      if (known.size + texts.length > MOST) known.clear();
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
      return vectors;
    },
    close: () => encoder.close(),
  };
}
