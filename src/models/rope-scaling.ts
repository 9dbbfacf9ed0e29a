/** Llama 3.1's stretching of slow rotary frequencies, as config.json states it. */
export interface Llama3Scaling {
  rope_type: 'llama3';
  factor: number;
  low_freq_factor: number;
  high_freq_factor: number;
  original_max_position_embeddings: number;
}

/**
 * The divisors of the rotary frequencies under Llama 3.1's scaling: 1 for wavelengths below
 * `original_max_position_embeddings / high_freq_factor`, `factor` for those above `... / low_freq_factor`, a blend between.
 * GGUF holds them as the tensor `rope_freqs.weight`. Source: "The Llama 3 Herd of Models", section 3.2, and Transformers'
 * `_compute_llama3_parameters`.
 * @returns [headDimension / 2]
 */
export function llama3Factors(scaling: Llama3Scaling, theta: number, headDimension: number): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: length } = scaling;
  return Float32Array.from({ length: headDimension / 2 }, (_, pair) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * pair) / headDimension);
    if (wavelength < length / high) return 1;
    if (wavelength > length / low) return factor;
    const smooth = (length / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** What Llama 3.1, 3.2 and 3.3 share; they differ in `factor` alone. */
const PUBLISHED = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/**
 * The scaling that gave these divisors. GGUF keeps the divisors only, so they are held against those of the published
 * settings.
 * @returns undefined where other settings, or another method, gave them
 */
export function llama3ScalingOf(factors: Float32Array, theta: number): Llama3Scaling | undefined {
  const factor = Math.max(...factors);
  const scaling: Llama3Scaling = { rope_type: 'llama3', factor: Math.round(factor * 1e4) / 1e4, ...PUBLISHED };
  const expected = llama3Factors(scaling, theta, factors.length * 2);
  return factors.every((value, pair) => Math.abs(value / expected[pair]! - 1) < 1e-4) ? scaling : undefined;
}
