/** A value of a measure. */
export function score(value: number): string {
  return value.toFixed(4);
}

/** A change, with its sign. */
export function signed(value: number, digits = 4): string {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? '−' : '+'}${text}`;
}

export function pValue(p: number): string {
  return p < 0.0001 ? '< 0.0001' : p.toFixed(4);
}

export function count(value: number): string {
  return value.toLocaleString('en');
}
