import { html, type Markup } from '../markup.ts';
import { type PlotAxis, PlotFrame } from './plot-frame.ts';

/** Maximum number of points to draw: if there are more, each drawn point is the mean of several. */
const MOST_POINTS = 80;

export interface Line {
  name: string;
  /** The colour: blue, orange or grey. */
  kind: 'gain' | 'loss' | 'same';
  points: readonly (readonly [x: number, y: number])[];
  dashed?: boolean | undefined;
}

export interface LinePlotOptions {
  /** What is drawn: the caption, and the description for screen readers. */
  label: string;
  /** Title of the x axis. */
  axis: string;
}

/** Draws lines over one axis, with a legend below. */
export function linePlot(lines: readonly Line[], { label, axis }: LinePlotOptions): Markup {
  const given = lines.filter(({ points }) => points.length > 0);
  if (given.length === 0) return html`<p class="soft">${label}: no data.</p>`;
  const drawn = given.map((line) => ({ ...line, points: thinned(line.points) }));
  const xs = given.flatMap(({ points }) => points.map(([x]) => x));
  const ys = drawn.flatMap(({ points }) => points.map(([, y]) => y));
  const frame = new PlotFrame({
    ...{ width: 420, height: 220, label },
    x: { ...rangeOf(xs), whole: xs.every(Number.isInteger), title: axis },
    y: rangeOf(ys),
  });
  return html`<figure><figcaption>${label}</figcaption>${frame.draw(drawn.map((line) => path(line, frame)))}
<p class="legend">${drawn.map(({ name, kind, dashed }) => html`<span><i class="${kind}${dashed ? ' dashed' : ''}"></i>${name}</span>`)}</p></figure>`;
}

/** Returns the range of the values. Unlike `Math.min(...values)`, it works for lists of any length. */
function rangeOf(values: readonly number[]): Pick<PlotAxis, 'from' | 'to'> {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [from, to] = [Math.min(from, value), Math.max(to, value)];
  return { from, to };
}

function path({ points, kind, dashed }: Line, frame: PlotFrame): Markup {
  const places = points.map(([x, y]) => [frame.x(x).toFixed(1), frame.y(y).toFixed(1)] as const);
  const steps = places.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${x} ${y}`).join('');
  const [x, y] = places[0]!;
  const dot = places.length === 1 ? html`<circle class="${kind}" cx="${x}" cy="${y}" r="3"/>` : undefined;
  return html`<path class="line ${kind}${dashed ? ' dashed' : ''}" d="${steps}"/>${dot}`;
}

/** Replaces neighbouring points by their means until at most {@link MOST_POINTS} remain. */
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
