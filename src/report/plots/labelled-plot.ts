import { html, type Markup } from '../markup.ts';
import { placeLabels } from './place-labels.ts';
import { lengthOf, type PlotAxis, PlotFrame } from './plot-frame.ts';

/** A point with a name that is written beside it. */
export interface NamedPoint {
  name: string;
  x: number;
  y: number;
  /** Class of its colour. */
  look: string;
  /** What it stands for, shown on hover. */
  title: string;
  /** Whether the line runs through it. */
  isOnLine: boolean;
}

export interface LabelledOptions {
  label: string;
  x: PlotAxis;
  y: PlotAxis;
}

const RADIUS = 6;
/** A longer name is cut off in the picture. */
const LONGEST = 24;
/** The page holds the plot in two sizes and shows the one that suits the screen. */
const SIZES = [
  { kind: 'broad', width: 960, height: 420 },
  { kind: 'narrow', width: 360, height: 340 },
] as const;

export interface LabelledPlot {
  picture: Markup;
  /** Whether the points bear numbers, from 1 in the given order, because their names have no room. */
  isNumbered: boolean;
}

/** Draws named points, and a line through some of them. Names do not overlap; where they have no room, numbers take their place. */
export function labelledPlot(points: readonly NamedPoint[], options: LabelledOptions): LabelledPlot {
  const names = points.map(({ name }) => (name.length <= LONGEST ? name : `${name.slice(0, LONGEST - 1)}…`));
  const drawn = SIZES.map((size) => draw(points, names, { ...size, ...options }));
  if (!drawn.includes(undefined)) return { picture: html`${drawn}`, isNumbered: false };
  const numbers = points.map((_point, at) => String(at + 1));
  const numbered = SIZES.map((size) => {
    const whole = draw(points, numbers, { ...size, ...options });
    // Points that coincide in great numbers: what lies under them shows on hover.
    return whole ?? draw(points, [], { ...size, ...options });
  });
  return { picture: html`${numbered}`, isNumbered: true };
}

/** @returns undefined if the names do not fit */
function draw(
  points: readonly NamedPoint[],
  names: readonly string[],
  options: LabelledOptions & (typeof SIZES)[number],
): Markup | undefined {
  const frame = new PlotFrame(options);
  const places = points.map(({ x, y }) => ({ x: frame.x(x), y: frame.y(y) }));
  const named = names.map((name, at) => ({ ...places[at]!, width: lengthOf(name) }));
  const line = places.filter((_, at) => points[at]!.isOnLine).sort((a, b) => a.x - b.x || b.y - a.y);
  const labels = placeLabels(named, { area: { ...frame.area, right: options.width }, radius: RADIUS, line });
  if (labels === undefined) return undefined;
  const joined = labels.map(({ x, y, apart }, at) => (apart ? segment(places[at]!, { x, y }) : undefined));
  const circles = points.map(({ look, title }, at) => {
    const { x, y } = places[at]!;
    return html`<circle class="${look}" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${RADIUS}"><title>${title}</title></circle>`;
  });
  const texts = labels.map(
    ({ x, y, anchor }, at) =>
      html`<text class="axis name" x="${x.toFixed(1)}" y="${(y + 4).toFixed(1)}" text-anchor="${anchor}">${names[at]}</text>`,
  );
  const marks = [lineThrough(line), ...joined, ...circles, ...texts];
  return frame.draw(marks.filter((mark) => mark !== undefined));
}

type Place = { x: number; y: number };

/** From the point to the near edge of its name. */
function segment(point: Place, name: Place): Markup {
  const edge = name.y > point.y ? name.y - 7 : name.y < point.y ? name.y + 7 : name.y;
  return html`<line class="zero" x1="${point.x.toFixed(1)}" y1="${point.y.toFixed(1)}" x2="${name.x.toFixed(1)}" y2="${edge.toFixed(1)}"/>`;
}

function lineThrough(places: readonly Place[]): Markup | undefined {
  if (places.length < 2) return undefined;
  const steps = places.map(({ x, y }, at) => `${at === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`);
  return html`<path class="line gain dashed" d="${steps.join('')}"/>`;
}
