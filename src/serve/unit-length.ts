/** Whether a vector has length 1, up to the rounding of 32-bit floats. */
export function isUnit(vector: Float32Array): boolean {
  return Math.abs(Math.hypot(...vector) - 1) < 1e-3;
}
