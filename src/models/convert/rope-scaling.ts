import { z } from 'zod';
import { numbers } from '../formats/network-bounds.ts';

/** Llama 3.1's scaling of low rotary frequencies, as in config.json. */
export const llama3ScalingSchema = z.object({
  rope_type: z.literal('llama3'),
  factor: numbers.rotary,
  low_freq_factor: numbers.rotary,
  high_freq_factor: numbers.rotary,
  original_max_position_embeddings: numbers.rotary,
});
export type Llama3Scaling = z.output<typeof llama3ScalingSchema>;

/**
 * Returns the divisors of the rotary frequencies under Llama 3.1's scaling: 1 for wavelengths below
 * `original_max_position_embeddings / high_freq_factor`, `factor` for those above `... / low_freq_factor`, and an
 * interpolation between. GGUF holds them as the tensor `rope_freqs.weight`. Source: "The Llama 3 Herd of Models",
 * section 3.2, and Transformers' `_compute_llama3_parameters`.
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

/** The factors that Llama 3.1, 3.2 and 3.3 share. */
const LOW = 1;
const HIGH = 4;
const PUBLISHED_LENGTH = 8192;

/**
 * Recovers the scaling from its divisors. GGUF stores only the divisors: the largest one is `factor`, and any
 * interpolated one gives the original length, with the published `low_freq_factor` 1 and `high_freq_factor` 4.
 * @returns undefined if other settings or another method produced them
 */
export function llama3ScalingOf(factors: Float32Array, theta: number): Llama3Scaling | undefined {
  const dimension = factors.length * 2;
  const factor = Number(Math.max(...factors).toPrecision(6));
  const blended = factors.findIndex((value) => value > 1.001 && value < factor * 0.999);
  const wavelength = 2 * Math.PI * theta ** ((2 * blended) / dimension);
  const smooth = (1 / (factors[blended] ?? 1) - 1 / factor) / (1 - 1 / factor);
  const length = blended < 0 ? PUBLISHED_LENGTH : Math.round(wavelength * (LOW + smooth * (HIGH - LOW)));
  const scaling: Llama3Scaling = {
    rope_type: 'llama3',
    factor,
    low_freq_factor: LOW,
    high_freq_factor: HIGH,
    original_max_position_embeddings: length,
  };
  const expected = llama3Factors(scaling, theta, dimension);
  return factors.every((value, pair) => Math.abs(value / expected[pair]! - 1) < 1e-4) ? scaling : undefined;
}
