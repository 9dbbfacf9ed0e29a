/** Formats the value of a measure. */
export function score(value: number): string {
  return value.toFixed(4);
}

/** Formats the change of a measure. */
export function signed(value: number): string {
  const digits = score(Math.abs(value));
  if (Number(digits) === 0) return digits;
  return `${value < 0 ? '\u2212' : '+'}${digits}`;
}

/** Returns the CSS class that colours a change. */
export function direction(change: number): string {
  return change > 0 ? 'up' : change < 0 ? 'down' : '';
}

export function pValue(value: number): string {
  return value < 0.0001 ? '< 0.0001' : value.toFixed(4);
}

/** Says how many sets were combined, and of how many if it was not all. */
export function pooledSets(pooled: number, all: number): string {
  return pooled === all ? `all ${all} sets` : `${pooled} of ${all} sets`;
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

/** Cuts a text after `limit` characters. */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const cut = text.slice(0, limit).replace(/[\ud800-\udbff]$/, ''); // half a surrogate pair
  return `${cut.trimEnd()} \u2026`;
}

/** Returns the largest value, 0 for an empty list. Unlike `Math.max(...values)`, it works for lists of any length. */
export function largestOf(values: Iterable<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) largest = Math.max(largest, value);
  return largest === Number.NEGATIVE_INFINITY ? 0 : largest;
}
