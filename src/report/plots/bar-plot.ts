import { largestOf, score } from '../figures.ts';
import { html, type Markup } from '../markup.ts';

/** Bars of one group, in the order of the series; undefined leaves a gap. */
export interface BarGroup {
  name: string;
  values: readonly (number | undefined)[];
}

/** Number of colours in the style sheet. Further series repeat them. */
const COLOURS = 6;
/** The page holds the plot in two sizes and shows the one that suits the screen. In the narrow one, names are above their bars. */
const SIZES = [
  { kind: 'broad', width: 960, left: 190 },
  { kind: 'narrow', width: 360, left: 0 },
] as const;
const [BAR, GAP, LABEL] = [12, 14, 18];
/** Room for the first number, which is as tall as its bar. */
const TOP = 4;
/** Room for a number behind a bar. */
const NUMBER = 52;

/** Returns the class of a series' colour. */
export function seriesClass(at: number): string {
  return `series-${(at % COLOURS) + 1}`;
}

/** Draws horizontal bars, group by group, from 0: one bar per series. */
export function barPlot(groups: readonly BarGroup[], series: readonly string[], label: string): Markup {
  const most = Math.max(1e-9, largestOf(groups.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const legend = series.map((name, at) => html`<span><i class="${seriesClass(at)}"></i>${name}</span>`);
  const plots = SIZES.map(({ kind, width, left }) => {
    const head = left === 0 ? LABEL : 0;
    const step = head + series.length * BAR + GAP;
    const room = width - left - NUMBER;
    const bars = groups.map((group, row) =>
      drawGroup(group, series, { top: TOP + row * step, head, left, scale: room / most }),
    );
    return html`<svg class="${kind}" viewBox="0 0 ${width} ${TOP + Math.max(1, groups.length * step - GAP)}" role="img" aria-label="${label}">
${bars}
</svg>`;
  });
  return html`<p class="legend">${legend}</p>${plots}`;
}

interface Place {
  top: number;
  /** Height of a name above the bars; 0: the name is beside them. */
  head: number;
  left: number;
  scale: number;
}

function drawGroup({ name, values }: BarGroup, series: readonly string[], { top, head, left, scale }: Place): Markup {
  const middle = top + (head === 0 ? (series.length * BAR) / 2 + 4 : LABEL - 6);
  const title =
    head === 0
      ? html`<text class="axis" x="${left - 8}" y="${middle.toFixed(1)}" text-anchor="end">${name}</text>`
      : html`<text class="axis" x="0" y="${middle.toFixed(1)}">${name}</text>`;
  const bars = values.map((value, at) => {
    if (value === undefined) return undefined;
    const y = top + head + at * BAR;
    const end = Math.max(0, value) * scale;
    return html`<rect class="${seriesClass(at)}" x="${left}" y="${y}" width="${end.toFixed(1)}" height="${BAR - 2}"><title>${name}, ${series[at]}: ${score(value)}</title></rect><text class="axis small" x="${(left + end + 5).toFixed(1)}" y="${y + BAR - 3}">${score(value)}</text>`;
  });
  return html`${title}${bars}\n`;
}
