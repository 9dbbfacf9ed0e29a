/** Summary statistics of a list of numbers. */
export interface Distribution {
  count: number;
  mean: number;
  deviation: number;
  min: number;
  /** 10th, 50th and 90th percentile. */
  p10: number;
  median: number;
  p90: number;
  max: number;
  /** Equal bins from the lowest to the highest value, or over the requested range. */
  histogram: { from: number; to: number; counts: number[] };
}

/** Computes summary statistics; all are 0 if there are no values. */
export function describe(values: readonly number[], bins = 20, range?: [from: number, to: number]): Distribution {
  const sorted = Float64Array.from(values).sort();
  const count = sorted.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, count);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, count);
  const [min, max] = [sorted[0] ?? 0, sorted[count - 1] ?? 0];
  return {
    count,
    mean,
    deviation: Math.sqrt(variance),
    min,
    p10: quantile(sorted, 0.1),
    median: quantile(sorted, 0.5),
    p90: quantile(sorted, 0.9),
    max,
    histogram: histogramOf(sorted, bins, range ?? [min, max]),
  };
}

/** The quantile of ascending values, interpolated linearly (type 7 of Hyndman and Fan 1996, NumPy's default). */
export function quantile(ascending: ArrayLike<number>, share: number): number {
  if (ascending.length === 0) return 0;
  const place = share * (ascending.length - 1);
  const low = ascending[Math.floor(place)]!;
  return low + (ascending[Math.ceil(place)]! - low) * (place - Math.floor(place));
}

function histogramOf(values: Float64Array, bins: number, [from, to]: [number, number]): Distribution['histogram'] {
  const counts = new Array<number>(bins).fill(0);
  const width = (to - from) / bins;
  for (const value of values) {
    const bin = width === 0 ? 0 : Math.floor((value - from) / width);
    counts[Math.min(bins - 1, Math.max(0, bin))]!++;
  }
  return { from, to, counts };
}
