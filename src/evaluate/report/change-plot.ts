import { html, type Markup } from './markup.ts';
import type { ReportQuery } from './report-data.ts';

const WIDTH = 960;
const HEIGHT = 260;
const LEFT = 44;
const RIGHT = 12;
const TOP = 14;
const BOTTOM = 30;

/**
 * Every query as one bar, sorted by how much the measure changed: gains on the left above the line, losses on the right
 * below it. With more queries than pixels the bars merge into an area of the same outline.
 */
export function changePlot(queries: readonly ReportQuery[], measure: string): Markup {
  const sorted = [...queries].sort((a, b) => b.after - b.before - (a.after - a.before));
  const largest = Math.max(0.05, ...sorted.map(({ before, after }) => Math.abs(after - before)));
  const scale = niceCeiling(largest);
  const y = (change: number) => TOP + ((scale - change) / (2 * scale)) * (HEIGHT - TOP - BOTTOM);
  const slot = (WIDTH - LEFT - RIGHT) / Math.max(1, sorted.length);
  const gap = slot > 4 ? 1 : 0;
  const bars = sorted.map((query, index) => bar(query, LEFT + index * slot, slot - gap, y));
  const ticks = [scale, scale / 2, 0, -scale / 2, -scale].map((value) => tick(value, y(value)));
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Change of ${measure} for each query, sorted">
${ticks}${bars}
<text class="axis" x="${LEFT}" y="${HEIGHT - 8}">most helped</text>
<text class="axis" x="${WIDTH - RIGHT}" y="${HEIGHT - 8}" text-anchor="end">most hurt</text>
</svg>`;
}

function bar(query: ReportQuery, x: number, width: number, y: (change: number) => number): Markup {
  const change = query.after - query.before;
  const top = Math.min(y(change), y(0));
  const height = Math.max(change === 0 ? 0.6 : 1, Math.abs(y(change) - y(0)));
  const kind = change > 0 ? 'gain' : change < 0 ? 'loss' : 'same';
  const label = `${query.text} (${query.before.toFixed(3)} to ${query.after.toFixed(3)})`;
  return html`<rect class="${kind}" x="${x.toFixed(2)}" y="${top.toFixed(2)}" width="${Math.max(0.4, width).toFixed(2)}" height="${height.toFixed(2)}"><title>${label}</title></rect>`;
}

function tick(value: number, y: number): Markup {
  const label = value === 0 ? '0' : `${value > 0 ? '+' : '\u2212'}${Math.abs(value)}`;
  return html`<line class="${value === 0 ? 'zero' : 'grid'}" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/><text class="axis" x="${LEFT - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${label}</text>`;
}

function niceCeiling(value: number): number {
  return [0.1, 0.2, 0.4, 0.6, 0.8, 1].find((step) => value <= step) ?? value;
}
