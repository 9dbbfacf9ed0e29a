import type { Distribution } from '../../reward/index.ts';
import { largestOf } from '../figures.ts';
import { html, type Markup } from '../markup.ts';
import { PlotFrame, type PlotMark, stepLabel } from './plot-frame.ts';

export interface HistogramSeries {
  distribution: Distribution;
  /** The colour: blue, orange or grey. */
  kind: 'gain' | 'loss' | 'same';
}

export interface HistogramOptions {
  /** What the values are: the title of the axis, and the description for screen readers. */
  label: string;
  /** What is counted: `queries`, `pairs`. */
  counted: string;
  /** A value to mark with a line, and its name. */
  mark?: PlotMark | undefined;
}

/** An interval of the axis, and how many values are in it. */
interface Bin {
  from: number;
  to: number;
  count: number;
  title: string;
}

/** Draws one distribution, or several with the same bins next to each other. */
export function histogram(series: readonly HistogramSeries[], { label, counted, mark }: HistogramOptions): Markup {
  const { from, to } = series[0]!.distribution.histogram;
  const binned = series.map(({ distribution, kind }) => ({ bins: binsOf(distribution), kind }));
  const frame = new PlotFrame({
    ...{ width: 420, height: 200, label: `Histogram: ${label}`, mark },
    x: { from, to, title: label },
    y: {
      ...{ from: 0, to: Math.max(1, largestOf(binned.flatMap((one) => one.bins.map(({ count }) => count)))) },
      ...{ whole: true, title: counted },
    },
  });
  const bars = binned.flatMap(({ bins, kind }, place) =>
    bins.map((bin) => bar(bin, { kind, place, of: series.length, frame })),
  );
  return frame.draw(bars);
}

function binsOf({ histogram: { from, to, counts } }: Distribution): Bin[] {
  if (to === from) return [onlyBin(from, counts)];
  const width = (to - from) / counts.length;
  const precision = Number.isInteger(width) && Number.isInteger(from) ? 1 : width / 10;
  const edge = (bin: number) => from + bin * width;
  return counts.map((count, bin) => {
    const title = `${stepLabel(edge(bin), precision)} to ${stepLabel(edge(bin + 1), precision)}: ${count}`;
    return { from: edge(bin), to: edge(bin + 1), count, title };
  });
}

/** The one bin of a distribution whose values are all equal: narrow, compared with the axis. */
function onlyBin(value: number, counts: readonly number[]): Bin {
  const half = (Math.abs(value) || 1) / 40;
  const count = counts.reduce((sum, one) => sum + one, 0);
  return { from: value - half, to: value + half, count, title: `${value}: ${count}` };
}

interface BarPlace {
  kind: HistogramSeries['kind'];
  /** Index of the bar among the `of` bars that share the bin. */
  place: number;
  of: number;
  frame: PlotFrame;
}

function bar({ from, to, count, title }: Bin, { kind, place, of, frame }: BarPlace): Markup {
  const width = (frame.x(to) - frame.x(from) - 2) / of;
  const left = frame.x(from) + 1 + place * width;
  const top = frame.y(count);
  return html`<rect class="${kind}" x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${width.toFixed(1)}" height="${(frame.y(0) - top).toFixed(1)}"><title>${title}</title></rect>`;
}
