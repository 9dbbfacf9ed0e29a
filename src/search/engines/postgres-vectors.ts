/**
 * Writes vectors as the binary form of a PostgreSQL array of pgvector's `vector`: an array header (dimensions of the array, nulls,
 * type, length, first subscript), then for each element its bytes, its dimensions, two unused bytes, and big-endian floats
 * (`array_send` of PostgreSQL, `vector_send` of pgvector). It is exact, and smaller than the numbers as text.
 * @param vectors row-major // [rows, dimensions]
 * @param type the number of the type `vector` in this database
 */
export function vectorArray(vectors: Float32Array, dimensions: number, type: number): Buffer {
  const rows = vectors.length / dimensions;
  const bytes = Buffer.allocUnsafe(20 + rows * (8 + 4 * dimensions));
  for (const [at, value] of [1, 0, type, rows, 1].entries()) bytes.writeInt32BE(value, 4 * at);
  let at = 20;
  for (let row = 0; row < rows; row++) {
    bytes.writeInt32BE(4 + 4 * dimensions, at);
    bytes.writeInt32BE(dimensions << 16, at + 4);
    at += 8;
    for (let column = 0; column < dimensions; column++, at += 4) {
      bytes.writeFloatBE(vectors[row * dimensions + column]!, at);
    }
  }
  return bytes;
}

/** Reads an array of numbers without nulls in PostgreSQL's text form: `{1,2.5}`. */
export function numberArray(text: string): number[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',').map(Number);
}
