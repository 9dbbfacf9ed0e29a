import { largestOf } from '../figures.ts';
import { html, type Markup } from '../markup.ts';

/** One axis of a plot. */
export interface PlotAxis {
  from: number;
  to: number;
  title?: string | undefined;
  /** The axis counts things: ticks only at whole numbers. */
  whole?: boolean | undefined;
  /** The values are changes: positive ones get a plus sign. */
  signed?: boolean | undefined;
  /** The axis is logarithmic, and widened until it begins and ends with a tick. Only for x. */
  log?: boolean | undefined;
  /** Values of 0 get a place of their own at the beginning of a logarithmic axis. */
  zero?: boolean | undefined;
}

/** A value on the x axis to mark with a vertical line, and its name. */
export interface PlotMark {
  value: number;
  name: string;
}

/** Lengths are in units of the picture: pixels, unless the page is too narrow. */
export interface PlotOptions {
  width: number;
  height: number;
  /** What is drawn, for screen readers. */
  label: string;
  /** Which screens the plot is for, if the page holds it in two sizes. */
  kind?: 'broad' | 'narrow' | undefined;
  /** Drawn exactly from `from` to `to`. */
  x: PlotAxis;
  /** Widened until it begins and ends with a tick. */
  y: PlotAxis;
  /** Omitted if it is outside the x axis. */
  mark?: PlotMark | undefined;
}

/** Character widths at the 12 px of the axes, in the widest of the common fonts. */
const [CHARACTER, SIGN, POINT] = [7.7, 10.2, 3.9];
/** Space between a label and its neighbour. */
const GAP = 6;
const RIGHT = 16;
/** Length of axis per tick. */
const X_SPACING = 66;
const Y_SPACING = 38;

interface Scale {
  from: number;
  to: number;
  ticks: number[];
  labels: string[];
  /** The place of a value, from 0 at the beginning of the axis to 1 at its end. */
  place(value: number): number;
}

/** Share of a logarithmic axis that lies between 0 and its first tick. */
const ZERO_SHARE = 0.12;

/**
 * The frame of a plot: margins for the labels, linear scales, round ticks, grid lines, titles. A plot positions its marks
 * with {@link x} and {@link y}, and passes them to {@link draw}.
 */
export class PlotFrame {
  readonly #options: PlotOptions;
  readonly #x: Scale;
  readonly #y: Scale;
  readonly #left: number;
  readonly #right: number;
  readonly #top: number;
  readonly #bottom: number;

  constructor(options: PlotOptions) {
    const { width, height, x, y, mark } = options;
    this.#options = options;
    this.#top = y.title === undefined && mark === undefined ? 10 : 26;
    this.#bottom = height - (x.title === undefined ? 22 : 40);
    this.#y = roundScale(y, Math.max(2, Math.floor((this.#bottom - this.#top) / Y_SPACING)));
    this.#left = largestOf(this.#y.labels.map(lengthOf)) + GAP;
    this.#right = width - RIGHT;
    const room = this.#right - this.#left;
    this.#x = x.log === true ? logScale(x, room) : scaleThatFits(x, room);
  }

  /** The part of the picture that marks are drawn in. */
  get area(): { left: number; right: number; top: number; bottom: number } {
    return { left: this.#left, right: this.#right, top: this.#top, bottom: this.#bottom };
  }

  /** Returns the distance of an x value from the left. */
  x(value: number): number {
    return this.#left + this.#x.place(value) * (this.#right - this.#left);
  }

  /** Returns the distance of a y value from the top. */
  y(value: number): number {
    return this.#bottom - this.#y.place(value) * (this.#bottom - this.#top);
  }

  /** Draws the complete plot. The marks are above the grid and below the zero line. */
  draw(marks: readonly Markup[]): Markup {
    const { width, height, label, kind = 'plot' } = this.#options;
    const grid = this.#y.ticks.map((value) => this.#level(value, 'grid'));
    const zero = this.#y.from <= 0 && this.#y.to >= 0 ? this.#level(0, 'zero') : undefined;
    return html`<svg class="${kind}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
${grid}${marks}${zero}
${this.#tickLabels()}${this.#titles()}${this.#mark()}
</svg>`;
  }

  #level(value: number, kind: 'grid' | 'zero'): Markup {
    const at = this.y(value).toFixed(1);
    return html`<line class="${kind}" x1="${this.#left.toFixed(1)}" x2="${this.#right}" y1="${at}" y2="${at}"/>`;
  }

  #tickLabels(): Markup[] {
    const { width } = this.#options;
    const beside = this.#y.ticks.map((value, at) =>
      text(this.#left - GAP, this.y(value) + 4, 'end', this.#y.labels[at]!),
    );
    const below = this.#x.ticks.map((value, at) => {
      const [place, label] = [this.x(value), this.#x.labels[at]!];
      const inside = Math.min(place, width - lengthOf(label) / 2);
      return html`<line class="grid" x1="${place.toFixed(1)}" x2="${place.toFixed(1)}" y1="${this.#bottom}" y2="${this.#bottom + 4}"/>${text(inside, this.#bottom + 17, 'middle', label)}`;
    });
    return [...beside, ...below];
  }

  #titles(): (Markup | undefined)[] {
    const { height, x, y } = this.#options;
    return [
      x.title === undefined ? undefined : text((this.#left + this.#right) / 2, height - 5, 'middle', x.title),
      y.title === undefined ? undefined : text(0, 12, 'start', y.title),
    ];
  }

  /** Draws the mark. Its name is above the plot, after the title of the y axis. */
  #mark(): Markup | undefined {
    const { width, mark, y } = this.#options;
    if (mark === undefined || mark.value < this.#x.from || mark.value > this.#x.to) return undefined;
    const at = this.x(mark.value);
    const half = lengthOf(mark.name) / 2;
    const first = y.title === undefined ? 0 : lengthOf(y.title) + 2 * GAP;
    const middle = Math.max(first + half, Math.min(at, width - half));
    return html`<line class="mark" x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${this.#top - 8}" y2="${this.#bottom}"/>${text(middle, 12, 'middle', mark.name)}`;
  }
}

/** Formats a number with the digits that ticks at this step need. */
export function stepLabel(value: number, step: number, signed = false): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const digits = digitsOf(step);
  const number =
    digits > 5 || size >= 1e9
      ? size.toExponential().replace('-', '\u2212')
      : size.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${value < 0 ? '\u2212' : signed ? '+' : ''}${number}`;
}

/** Returns the number of digits after the decimal point. */
function digitsOf(step: number): number {
  return Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
}

/** Returns the smallest step of 1, 2 or 5 times a power of ten that divides the range into at most `parts` parts. */
function roundStep({ from, to, whole }: PlotAxis, parts: number): number {
  const least = ((to - from) / parts) * (1 - 1e-9);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= least)! * power;
  return whole === true ? Math.max(1, Math.round(step)) : step;
}

/** Returns the axis with ticks at the multiples of a step that are on it. */
function ticked(axis: PlotAxis, step: number): Scale {
  const { from, to, signed } = axis;
  const first = Math.ceil(from / step - 1e-9);
  const length = Math.max(0, Math.floor(to / step + 1e-9) - first + 1);
  const ticks = Array.from({ length }, (_, at) => Number(((first + at) * step).toPrecision(12)));
  const labels = ticks.map((value) => stepLabel(value, step, signed));
  return { from, to, ticks, labels, place: (value) => (value - from) / (to - from) };
}

/** Returns a logarithmic axis from tick to tick, with ticks at 1, 2 and 5 times powers of ten, or at powers of ten if there is room for no more. */
function logScale({ from: least, to: most, zero }: PlotAxis, room: number): Scale {
  const power = (value: number) => Math.floor(Math.log10(value) + 1e-9);
  const steps = Array.from({ length: power(most) - power(least) + 2 }, (_, at) => power(least) + at).flatMap((one) =>
    [1, 2, 5].map((factor) => Number((factor * 10 ** one).toPrecision(3))),
  );
  const last = (test: (step: number) => boolean) => steps.filter(test).at(-1)!;
  const from = last((step) => step <= least * (1 + 1e-9));
  const to = Math.max(steps.find((step) => step >= most * (1 - 1e-9))!, steps.find((step) => step > from)!);
  const inside = steps.filter((step) => step >= from && step <= to);
  const tens = inside.filter((step) => Math.log10(step) % 1 === 0);
  const isCrowded = inside.length > Math.max(2, room / X_SPACING) && tens.length > 1;
  const every = Math.ceil(tens.length / Math.max(2, room / X_SPACING));
  const shown = isCrowded ? tens.filter((_, at) => at % every === 0) : inside;
  const begin = zero === true ? ZERO_SHARE : 0;
  const place = (value: number) =>
    value <= 0 ? 0 : begin + (1 - begin) * (Math.log(value / from) / Math.log(to / from));
  const ticks = [...(zero === true ? [0] : []), ...shown];
  return { from: zero === true ? 0 : from, to, ticks, labels: ticks.map((tick) => stepLabel(tick, tick)), place };
}

/** Returns the axis, widened to multiples of a round step. */
function roundScale(axis: PlotAxis, parts: number): Scale {
  const range = widened(axis);
  const step = roundStep(range, parts);
  const from = Math.floor(range.from / step + 1e-9) * step;
  const to = Math.ceil(range.to / step - 1e-9) * step;
  return ticked({ ...range, from, to }, step);
}

/** Returns the axis as it is, with as many ticks as their labels have room for. */
function scaleThatFits(axis: PlotAxis, room: number): Scale {
  const range = widened(axis);
  for (let parts = Math.floor(room / X_SPACING); ; parts--) {
    const step = roundStep(range, Math.max(1, parts));
    const scale = ticked(range, step);
    const longest = largestOf(scale.labels.map(lengthOf));
    if (parts <= 1 || longest + 2 * GAP <= (step / (range.to - range.from)) * room) return scale;
  }
}

/** Widens an axis that has a single value. */
function widened(axis: PlotAxis): PlotAxis {
  const size = Math.max(Math.abs(axis.from), Math.abs(axis.to));
  if (axis.to - axis.from > 1e-9 * size) return axis;
  const room = axis.whole === true || size === 0 ? 1 : size / 2;
  return { ...axis, from: axis.from - room, to: axis.to + room };
}

/** Returns the width of a label at the 12 px of the axes, in pixels. */
export function lengthOf(label: string): number {
  return [...label].reduce(
    (sum, one) => sum + ('+\u2212'.includes(one) ? SIGN : '.,'.includes(one) ? POINT : CHARACTER),
    0,
  );
}

function text(x: number, y: number, anchor: 'start' | 'middle' | 'end', words: string): Markup {
  return html`<text class="axis" x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words}</text>`;
}
