import { ENCODERS } from '../../models/index.ts';

/** How the numbers of document vectors are stored. */
export const VECTOR_FORMATS = ['f32', 'f16', 'int8'] as const;
export type VectorFormat = (typeof VECTOR_FORMATS)[number];

/** The numbers of stored vectors: f32, f16 (as bits), or int8 with a scale for each row. */
export type VectorNumbers = Float32Array | Uint16Array | Int8Array;

/** Bytes of a vector with this number of dimensions. An int8 vector has a scale of 4 bytes beside it. */
export function bytesPerVector(format: VectorFormat, dimensions: number): number {
  if (format === 'int8') return dimensions + 4;
  return dimensions * (format === 'f16' ? 2 : 4);
}

/** The largest finite number of f16. */
const LARGEST_HALF = 65504;

/** Vectors in another format. */
export interface EncodedVectors {
  /** Row-major // [rows, dimensions] */
  vectors: Exclude<VectorNumbers, Float32Array>;
  /** Of int8 // [rows] */
  scales?: Float32Array;
}

/**
 * Converts vectors to f16 (rounded to nearest) or int8. In int8 each vector has its own scale, its largest magnitude / 127,
 * as the vector-wise quantisation of LLM.int8() (arXiv 2208.07339, section 2.1): nothing is calibrated, so a vector's
 * bytes depend on it alone, no later document is cut off, and the corpus is read once.
 * @param vectors row-major // [rows, dimensions]
 * @param onBroken called with the row of a vector that the format cannot hold
 */
export function encodeVectors(
  vectors: Float32Array,
  dimensions: number,
  format: Exclude<VectorFormat, 'f32'>,
  onBroken: (row: number) => never,
): EncodedVectors {
  const largest = largestMagnitudes(vectors, dimensions);
  const most = format === 'f16' ? LARGEST_HALF : Number.MAX_VALUE;
  const broken = largest.findIndex((value) => !(value <= most));
  if (broken >= 0) onBroken(broken);
  if (format === 'f16') {
    const { buffer, byteOffset } = ENCODERS.F16.encode(vectors);
    return { vectors: new Uint16Array(buffer, byteOffset, vectors.length) };
  }
  return quantized(vectors, dimensions, largest);
}

/** The largest magnitude of each row; NaN for a row that holds one // [rows] */
function largestMagnitudes(vectors: Float32Array, dimensions: number): Float32Array {
  const largest = new Float32Array(vectors.length / dimensions);
  for (let row = 0, at = 0; row < largest.length; row++) {
    let most = 0;
    for (const end = at + dimensions; at < end; at++) {
      const magnitude = Math.abs(vectors[at]!);
      // The negation lets NaN in, and keeps it.
      if (!(magnitude <= most)) most = magnitude;
    }
    largest[row] = most;
  }
  return largest;
}

function quantized(vectors: Float32Array, dimensions: number, largest: Float32Array): EncodedVectors {
  const codes = new Int8Array(vectors.length);
  const scales = new Float32Array(largest.length);
  for (let row = 0, at = 0; row < scales.length; row++) {
    const scale = Math.fround(largest[row]! / 127);
    scales[row] = scale;
    const factor = scale === 0 ? 0 : 1 / scale;
    for (const end = at + dimensions; at < end; at++) codes[at] = Math.round(vectors[at]! * factor);
  }
  return { vectors: codes, scales };
}
