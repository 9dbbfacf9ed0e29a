/** The transpose of a row-major matrix // [rows, columns] → [columns, rows] */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = matrix[row * columns + column]!;
  }
  return result;
}

/** Row-major matrices of equal height beside each other // n × [rows, columns] → [rows, n · columns] */
export function sideBySide(matrices: readonly Float32Array[], rows: number): Float32Array {
  const columns = matrices[0]!.length / rows;
  const width = columns * matrices.length;
  const result = new Float32Array(rows * width);
  matrices.forEach((matrix, index) => {
    for (let row = 0; row < rows; row++) {
      result.set(matrix.subarray(row * columns, (row + 1) * columns), row * width + index * columns);
    }
  });
  return result;
}

/**
 * Symmetric signed bytes with one scale a column: `values[i, j] · scale[j]` is `matrix[i, j]` to half a step.
 * // [rows, columns] → values [rows, columns], scale [columns]
 */
export function quantizeColumns(matrix: Float32Array, columns: number): { values: Int8Array; scale: Float32Array } {
  const scale = new Float32Array(columns);
  for (let index = 0; index < matrix.length; index++) {
    const size = Math.abs(matrix[index]!);
    if (size > scale[index % columns]!) scale[index % columns] = size;
  }
  for (let column = 0; column < columns; column++) scale[column] = scale[column]! / 127 || 1;
  const values = new Int8Array(matrix.length);
  for (let index = 0; index < matrix.length; index++) {
    values[index] = Math.round(matrix[index]! / scale[index % columns]!);
  }
  return { values, scale };
}
