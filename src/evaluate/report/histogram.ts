import type { Distribution } from '../../reward/index.ts';
import { html, type Markup } from './markup.ts';

const WIDTH = 480;
const HEIGHT = 190;
const LEFT = 40;
const RIGHT = 10;
const TOP = 12;
const BOTTOM = 34;

export interface HistogramSeries {
  distribution: Distribution;
  /** The colour: blue, orange or grey. */
  kind: 'gain' | 'loss' | 'same';
}

export interface HistogramOptions {
  /** What the numbers are, under the axis and for readers who hear the page. */
  label: string;
  /** A value that is marked by a line, with its name. */
  mark?: { value: number; name: string } | undefined;
}

/** Bars of one distribution, or of several over the same bins side by side. */
export function histogram(series: readonly HistogramSeries[], { label, mark }: HistogramOptions): Markup {
  const { from, to } = series[0]!.distribution.histogram;
  const highest = Math.max(1, ...series.flatMap(({ distribution }) => distribution.histogram.counts));
  const x = (value: number) => LEFT + (to === from ? 0.5 : (value - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const y = (count: number) => HEIGHT - BOTTOM - (count / highest) * (HEIGHT - TOP - BOTTOM);
  const bars = series.map((one, place) => seriesBars(one, place, series.length, y));
  const ticks = (to === from ? [from] : [from, (from + to) / 2, to]).map((value, at, all) => {
    const anchor = all.length === 1 ? 'middle' : (['start', 'middle', 'end'][at] ?? 'middle');
    return html`<text class="axis" x="${x(value).toFixed(1)}" y="${HEIGHT - BOTTOM + 15}" text-anchor="${anchor}">${plain(value)}</text>`;
  });
  return html`<svg style="min-width:0" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Histogram: ${label}">
<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${TOP}" y2="${TOP}"/><text class="axis" x="${LEFT - 6}" y="${TOP + 4}" text-anchor="end">${highest.toLocaleString('en-US')}</text>
${bars}<line class="zero" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(0)}" y2="${y(0)}"/>${ticks}
<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 3}" text-anchor="middle">${label}</text>${markLine(mark, from, to, x)}
</svg>`;
}

function seriesBars(
  { distribution, kind }: HistogramSeries,
  place: number,
  count: number,
  y: (count: number) => number,
): Markup[] {
  const { from, to, counts } = distribution.histogram;
  const slot = (WIDTH - LEFT - RIGHT) / counts.length;
  const width = (slot - 2) / count;
  return counts.map((value, bin) => {
    const step = (to - from) / counts.length;
    const title = `${plain(from + bin * step)} to ${plain(from + (bin + 1) * step)}: ${value}`;
    const left = LEFT + bin * slot + 1 + place * width;
    return html`<rect class="${kind}" x="${left.toFixed(1)}" y="${y(value).toFixed(1)}" width="${width.toFixed(1)}" height="${(y(0) - y(value)).toFixed(1)}"><title>${title}</title></rect>`;
  });
}

function markLine(
  mark: HistogramOptions['mark'],
  from: number,
  to: number,
  x: (value: number) => number,
): Markup | undefined {
  if (mark === undefined || mark.value < from || mark.value > to) return undefined;
  const at = x(mark.value);
  const anchor = at > WIDTH / 2 ? 'end' : 'start';
  const label = at > WIDTH / 2 ? at - 5 : at + 5;
  return html`<line class="zero" x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke-dasharray="4 3"/><text class="axis" x="${label.toFixed(1)}" y="${TOP + 14}" text-anchor="${anchor}">${mark.name}</text>`;
}

/** At most three digits behind the point, and none that say nothing. */
function plain(value: number): string {
  return String(Number(value.toFixed(Math.abs(value) < 10 ? 2 : 0))).replace('-', '\u2212');
}
