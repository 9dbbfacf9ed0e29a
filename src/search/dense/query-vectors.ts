import { DataError, UsageError } from '../../system/index.ts';

export interface CombineOptions {
  dimensions: number;
  /**
   * Weight of the expansions, 0 to 1, or `mean`: the query and each of its N expansions weigh the same (HyDE), which is
   * N / (N + 1). Default 0.5, as published.
   */
  alpha?: number | 'mean' | undefined;
  /** Whether to normalise each combined vector to length 1. Default false, as published. */
  normalize?: boolean | undefined;
}

/**
 * Computes the vectors to search with: (1 - alpha) · E(query) + alpha · mean of E(expansions) (arXiv 2502.17057, section 3.1, with
 * alpha 0.5). A query without expansions keeps its own vector.
 *
 * @param queries row-major // [queries, dimensions]
 * @param expansions expansions of all queries, in the order of the queries // [sum of counts, dimensions]
 * @param counts number of expansions of each query // [queries]
 * @returns // [queries, dimensions]
 * @throws UsageError for alpha outside 0 to 1
 * @throws DataError if the arrays do not have these sizes
 */
export function combineQueryVectors(
  queries: Float32Array,
  expansions: Float32Array,
  counts: readonly number[],
  { dimensions, alpha = 0.5, normalize = false }: CombineOptions,
): Float32Array {
  if (alpha !== 'mean' && !(alpha >= 0 && alpha <= 1)) {
    throw new UsageError(`alpha is ${alpha}`, {
      fix: 'Pass a number from 0 (only the query) to 1 (only the expansions), or mean.',
    });
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  checkShape('query', queries, counts.length, dimensions);
  checkShape('expansion', expansions, total, dimensions);
  const combined = queries.slice();
  let begin = 0;
  for (const [row, count] of counts.entries()) {
    const vector = combined.subarray(row * dimensions, (row + 1) * dimensions);
    const end = begin + count * dimensions;
    if (count > 0) mix(vector, expansions.subarray(begin, end), alpha === 'mean' ? count / (count + 1) : alpha);
    if (normalize) toUnitLength(vector);
    begin = end;
  }
  return combined;
}

function checkShape(what: string, vectors: Float32Array, count: number, dimensions: number): void {
  if (vectors.length === count * dimensions) return;
  throw new DataError(`${vectors.length} numbers do not make ${count} ${what} vectors of ${dimensions} dimensions`, {
    fix: 'Encode queries and expansions with one encoder, and pass the number of expansions of each query.',
  });
}

/** @param expansions vectors of one query's expansions // [count, dimensions] */
function mix(vector: Float32Array, expansions: Float32Array, alpha: number): void {
  const dimensions = vector.length;
  const count = expansions.length / dimensions;
  for (let at = 0; at < dimensions; at++) {
    let sum = 0;
    for (let row = 0; row < count; row++) sum += expansions[row * dimensions + at]!;
    vector[at] = (1 - alpha) * vector[at]! + (alpha * sum) / count;
  }
}

function toUnitLength(vector: Float32Array): void {
  const length = Math.hypot(...vector);
  if (length === 0) return;
  for (let at = 0; at < vector.length; at++) vector[at]! /= length;
}
