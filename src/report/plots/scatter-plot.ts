import { html, type Markup } from '../markup.ts';
import { type PlotAxis, PlotFrame } from './plot-frame.ts';

export interface ScatterPoint {
  x: number;
  y: number;
  /** Class of its colour. */
  look: string;
  /** What it stands for, shown on hover; without it, the point is one of many. */
  label?: string | undefined;
}

export interface ScatterOptions {
  label: string;
  x: PlotAxis;
  y: PlotAxis;
  /** Whether to draw the line on which both axes are equal. */
  diagonal?: boolean | undefined;
}

const SIZES = [
  { kind: 'broad', width: 960, height: 460, small: 3, large: 7 },
  { kind: 'narrow', width: 360, height: 320, small: 2, large: 5 },
] as const;

/** Draws points. Named ones are larger, and are drawn last. */
export function scatterPlot(points: readonly ScatterPoint[], { label, x, y, diagonal }: ScatterOptions): Markup {
  const sorted = [...points].sort((a, b) => Number(a.label !== undefined) - Number(b.label !== undefined));
  return html`${SIZES.map(({ kind, width, height, small, large }) => {
    const frame = new PlotFrame({ width, height, kind, label, x, y });
    const [low, high] = [Math.max(x.from, y.from), Math.min(x.to, y.to)];
    const line = diagonal
      ? html`<line class="mark" x1="${frame.x(low).toFixed(1)}" y1="${frame.y(low).toFixed(1)}" x2="${frame.x(high).toFixed(1)}" y2="${frame.y(high).toFixed(1)}"/>`
      : undefined;
    const marks = sorted.map((point) => {
      const size = point.label === undefined ? small : large;
      const title = point.label === undefined ? undefined : html`<title>${point.label}</title>`;
      return html`<circle class="${point.look}" cx="${frame.x(point.x).toFixed(1)}" cy="${frame.y(point.y).toFixed(1)}" r="${size}">${title}</circle>`;
    });
    return frame.draw([line, ...marks].filter((mark) => mark !== undefined));
  })}`;
}
