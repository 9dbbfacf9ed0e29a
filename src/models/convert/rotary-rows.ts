import { ModelError } from '../../system/index.ts';

/**
 * Two orders of a query or key projection's rows. A rotary embedding turns pairs of them: Transformers pairs row j of a
 * head with row j + d/2 (halves), the original Llama and GGUF's `llama` architecture pair rows 2j and 2j + 1
 * (neighbours). So the rows of a head, seen as [2, d/2], are stored as [d/2, 2].
 */

/**
 * From halves to neighbours: what is written into a GGUF file.
 * @param data [rows, columns], row-major; a bias is [rows, 1]
 * @param rows heads times the dimension of a head
 * @throws ModelError where the rows are no whole pairs
 */
export function rowsAsNeighbours(data: Float32Array, rows: number, heads: number): Float32Array {
  return swapped(data, rows, heads, 2);
}

/**
 * From neighbours to halves: what is read from a GGUF file.
 * @param data [rows, columns], row-major; a bias is [rows, 1]
 * @param rows heads times the dimension of a head
 * @throws ModelError where the rows are no whole pairs
 */
export function rowsAsHalves(data: Float32Array, rows: number, heads: number): Float32Array {
  return swapped(data, rows, heads, rows / heads / 2);
}

/** Of each head, rows [outer, inner] become [inner, outer]. @throws ModelError where the rows are no whole pairs */
function swapped(data: Float32Array, rows: number, heads: number, outer: number): Float32Array {
  const columns = data.length / rows;
  const size = rows / heads;
  const inner = size / outer;
  if (size % 2 !== 0) {
    throw new ModelError(`${rows} rows of a query or key projection are not pairs for each of ${heads} heads`, {
      fix: 'Check that the weights are of the model that the settings describe.',
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
