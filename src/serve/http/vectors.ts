import { RequestError } from '../request-error.ts';
import { isUnit } from '../unit-length.ts';

/** The rows of a matrix // [rows, dimensions] */
export function rowsOf(vectors: Float32Array, dimensions: number): Float32Array[] {
  return Array.from({ length: vectors.length / dimensions }, (_none, row) =>
    vectors.subarray(row * dimensions, (row + 1) * dimensions),
  );
}

/**
 * Cuts a vector to its first dimensions, and gives it length 1 again if it had that (Matryoshka embeddings).
 * @throws RequestError if it has fewer
 */
export function cutVector(vector: Float32Array, dimensions: number | null | undefined): Float32Array {
  if (dimensions == null || dimensions === vector.length) return vector;
  if (dimensions > vector.length) {
    throw new RequestError(400, `dimensions: the encoder has only ${vector.length}`, {
      fix: 'Ask for fewer, or omit it.',
    });
  }
  const cut = vector.slice(0, dimensions);
  const length = Math.hypot(...cut);
  return isUnit(vector) && length > 0 ? cut.map((value) => value / length) : cut;
}

/** A vector as JSON numbers, or as base64 of its 32-bit floats, little-endian, as OpenAI sends it. */
export function encodeVector(vector: Float32Array, format: 'float' | 'base64'): number[] | string {
  if (format === 'float') return Array.from(vector);
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(value, 4 * at);
  return bytes.toString('base64');
}
