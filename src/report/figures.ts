/** A measure, as it is quoted. */
export function score(value: number): string {
  return value.toFixed(4);
}

/** A change of a measure. */
export function signed(value: number): string {
  const digits = score(Math.abs(value));
  if (Number(digits) === 0) return digits;
  return `${value < 0 ? '\u2212' : '+'}${digits}`;
}

/** The class that colours a change. */
export function direction(change: number): string {
  return change > 0 ? 'up' : change < 0 ? 'down' : '';
}

export function pValue(value: number): string {
  return value < 0.0001 ? '< 0.0001' : value.toFixed(4);
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** The beginning of a text. @param limit in characters */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const cut = text.slice(0, limit).replace(/[\ud800-\udbff]$/, ''); // half of a character
  return `${cut.trimEnd()} \u2026`;
}

/** The largest of a list that may be longer than a call can have arguments; 0 of none. */
export function largestOf(values: Iterable<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of values) largest = Math.max(largest, value);
  return largest === Number.NEGATIVE_INFINITY ? 0 : largest;
}
