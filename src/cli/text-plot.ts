/** Width of the longest bar, in characters. */
const WIDTH = 40;

/**
 * Draws values as bars, one per line. The bars begin at the lowest value, so that small differences can be seen; the two ends are
 * printed above.
 */
export function textPlot(title: string, points: readonly { label: string; value: number }[]): string {
  const values = points.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const size = Math.max(...points.map(({ label }) => label.length));
  const bar = (value: number) =>
    '#'.repeat(high === low ? 1 : 1 + Math.round(((value - low) / (high - low)) * (WIDTH - 1)));
  const lines = points.map(({ label, value }) => `${label.padStart(size)}  ${value.toFixed(4)}  ${bar(value)}`);
  return [`${title}, bars from ${low.toFixed(4)} to ${high.toFixed(4)}`, ...lines].join('\n');
}
