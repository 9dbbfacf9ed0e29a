import { ModelError } from '../../system/index.ts';

/**
 * Two orders of a query or key projection's rows. A rotary embedding rotates pairs of them. Transformers pairs row j of
 * a head with row j + d/2 (halves). The original Llama and GGUF's `llama` architecture pair rows 2j and 2j + 1
 * (neighbours), so the rows of a head, viewed as [2, d/2], are stored as [d/2, 2].
 */

/**
 * Reorders rows from halves to neighbours, to write them into a GGUF file.
 * @param data [rows, columns], row-major; a bias is [rows, 1]
 * @param rows heads times the dimension of a head
 * @throws ModelError if a head has an odd number of rows
 */
export function rowsAsNeighbours(data: Float32Array, rows: number, heads: number): Float32Array {
  return swapped(data, rows, heads, 2);
}

/**
 * Reorders rows from neighbours to halves, after reading them from a GGUF file.
 * @param data [rows, columns], row-major; a bias is [rows, 1]
 * @param rows heads times the dimension of a head
 * @throws ModelError if a head has an odd number of rows
 */
export function rowsAsHalves(data: Float32Array, rows: number, heads: number): Float32Array {
  return swapped(data, rows, heads, rows / heads / 2);
}

/**
 * Transposes the rows of each head from [outer, inner] to [inner, outer].
 * @throws ModelError if a head has an odd number of rows
 */
function swapped(data: Float32Array, rows: number, heads: number, outer: number): Float32Array {
  const columns = data.length / rows;
  const size = rows / heads;
  const inner = size / outer;
  if (size % 2 !== 0) {
    throw new ModelError(`${rows} rows of a query or key projection do not form pairs in each of ${heads} heads`, {
      fix: 'Check that the weights belong to the model that the settings describe.',
    });
  }
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const within = row % size;
    const target = row - within + (within % inner) * outer + Math.floor(within / inner);
    result.set(data.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return result;
}
