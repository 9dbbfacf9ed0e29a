/**
 * Returns a copy whose rows have length 1; zero rows stay zero.
 * @param vectors row-major // [rows, dimensions]
 */
export function unitRows(vectors: Float32Array, dimensions: number): Float32Array {
  const unit = new Float32Array(vectors.length);
  for (let start = 0; start < vectors.length; start += dimensions) {
    let sum = 0;
    for (let at = start; at < start + dimensions; at++) sum += vectors[at]! ** 2;
    const scale = sum === 0 ? 0 : 1 / Math.sqrt(sum);
    for (let at = start; at < start + dimensions; at++) unit[at] = vectors[at]! * scale;
  }
  return unit;
}
