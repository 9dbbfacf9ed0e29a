/** Rows of weighted terms, one after another. */
export interface SparseRows {
  /** Where each row's terms begin // [rows + 1] */
  starts: Uint32Array;
  /** Term numbers; no term is twice in a row. */
  terms: Uint32Array;
  /** // [terms] */
  weights: Float32Array;
}

/** Returns some of the rows, from one up to, not including, another. */
export function pickRows({ starts, terms, weights }: SparseRows, first: number, end: number): SparseRows {
  const [from, to] = [starts[first]!, starts[end]!];
  return {
    starts: starts.slice(first, end + 1).map((start) => start - from),
    terms: terms.slice(from, to),
    weights: weights.slice(from, to),
  };
}
