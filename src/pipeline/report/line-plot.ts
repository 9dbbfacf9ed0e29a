import { html, type Markup } from '../../evaluate/index.ts';

const WIDTH = 480;
const HEIGHT = 210;
const LEFT = 52;
const RIGHT = 12;
const TOP = 14;
const BOTTOM = 36;
/** Where there are more points, each drawn one is a mean of several. */
const MOST_POINTS = 80;

export interface Line {
  name: string;
  /** The colour: blue, orange or grey. */
  kind: 'gain' | 'loss' | 'same';
  points: readonly (readonly [x: number, y: number])[];
  dashed?: boolean | undefined;
}

export interface LinePlotOptions {
  /** What is drawn, above the plot and for readers who hear the page. */
  label: string;
  /** What runs along the axis. */
  axis: string;
}

/** Lines over one axis, with their names below. */
export function linePlot(lines: readonly Line[], { label, axis }: LinePlotOptions): Markup {
  const drawn = lines
    .map((line) => ({ ...line, points: thinned(line.points) }))
    .filter((line) => line.points.length > 0);
  const xs = drawn.flatMap(({ points }) => points.map(([x]) => x));
  const ys = drawn.flatMap(({ points }) => points.map(([, y]) => y));
  if (xs.length === 0) return html`<p class="soft">${label}: no figures.</p>`;
  const [fromX, toX] = widened(Math.min(...xs), Math.max(...xs));
  const [fromY, toY] = widened(Math.min(...ys), Math.max(...ys));
  const x = (value: number) => LEFT + ((value - fromX) / (toX - fromX)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => TOP + ((toY - value) / (toY - fromY)) * (HEIGHT - TOP - BOTTOM);
  const ticks = [toY, (fromY + toY) / 2, fromY].map(
    (value) =>
      html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/><text class="axis" x="${LEFT - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${plain(value, toY - fromY)}</text>`,
  );
  const zero =
    fromY < 0 && toY > 0
      ? html`<line class="zero" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(0).toFixed(1)}" y2="${y(0).toFixed(1)}"/>`
      : undefined;
  const ends = [fromX, toX].map(
    (value, at) =>
      html`<text class="axis" x="${x(value).toFixed(1)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="${at === 0 ? 'start' : 'end'}">${plain(value, toX - fromX)}</text>`,
  );
  return html`<figure><figcaption>${label}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">
${ticks}${zero}${ends}<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${axis}</text>
${drawn.map((line) => path(line, x, y))}
</svg><p class="legend">${drawn.map(({ name, kind, dashed }) => html`<span><i class="${kind}${dashed ? ' dashed' : ''}"></i>${name}</span>`)}</p></figure>`;
}

function path({ points, kind, dashed }: Line, x: (value: number) => number, y: (value: number) => number): Markup {
  const steps = points.map(([a, b], at) => `${at === 0 ? 'M' : 'L'}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join('');
  const [only] = points;
  const dot =
    points.length === 1
      ? html`<circle class="${kind}" cx="${x(only![0]).toFixed(1)}" cy="${y(only![1]).toFixed(1)}" r="3"/>`
      : undefined;
  return html`<path class="line ${kind}${dashed ? ' dashed' : ''}" d="${steps}"/>${dot}`;
}

/** Means of neighbours, so that at most {@link MOST_POINTS} are left. */
function thinned(points: Line['points']): Line['points'] {
  const width = Math.ceil(points.length / MOST_POINTS);
  if (width <= 1) return points;
  const means: [number, number][] = [];
  for (let start = 0; start < points.length; start += width) {
    const group = points.slice(start, start + width);
    const mean = (part: 0 | 1) => group.reduce((sum, point) => sum + point[part], 0) / group.length;
    means.push([mean(0), mean(1)]);
  }
  return means;
}

function widened(from: number, to: number): [number, number] {
  return to > from
    ? [from, to]
    : [from - 0.5 * Math.max(1e-6, Math.abs(from)), to + 0.5 * Math.max(1e-6, Math.abs(to))];
}

/** With as many digits as it takes to tell the ticks of a range apart. */
function plain(value: number, range: number): string {
  if (Number.isInteger(value)) return String(value).replace('-', '\u2212');
  const digits = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(range))));
  return value.toFixed(digits).replace('-', '\u2212');
}
