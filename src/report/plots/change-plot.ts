import { signed } from '../figures.ts';
import { html, type Markup } from '../markup.ts';
import type { ReportQuery } from '../report-data.ts';
import { PlotFrame } from './plot-frame.ts';

/** Minimum range of the y axis, so that tiny changes do not look large. */
const LEAST_CHANGE = 0.05;

/** The page holds the plot in two sizes and shows the one that suits the screen. If there are more queries than bars, a bar stands for several. */
const SIZES = [
  { kind: 'broad', width: 960, height: 280, bars: 320, axis: 'queries, from the most helped to the most hurt' },
  { kind: 'narrow', width: 360, height: 250, bars: 110, axis: 'queries, most helped to most hurt' },
] as const;

type Change = Pick<ReportQuery, 'text' | 'before' | 'after'>;

/** A bar: one query, or several neighbours in the order of change that have the same sign. */
interface Bar {
  /** Index of its first query. */
  from: number;
  count: number;
  mean: number;
  label: string;
}

/**
 * Plots all queries, sorted by the change of the measure: gains on the left above the line, losses on the right below it.
 * The size of the plot does not grow with the number of queries.
 */
export function changePlot(queries: readonly Change[], measure: string): Markup {
  const sorted = [...queries].sort((a, b) => changeOf(b) - changeOf(a));
  const ends = sorted.length === 0 ? [] : [sorted[0]!, sorted.at(-1)!];
  const largest = Math.max(LEAST_CHANGE, ...ends.map((query) => Math.abs(changeOf(query))));
  return html`${SIZES.map(({ kind, width, height, bars, axis }) => {
    const frame = new PlotFrame({
      ...{ width, height, kind, label: `Change of ${measure} for each query, sorted` },
      x: { from: 0, to: sorted.length, whole: true, title: axis },
      y: { from: -largest, to: largest, signed: true, title: `change of ${measure}` },
    });
    return frame.draw(barsOf(sorted, bars).map((bar) => draw(bar, frame)));
  })}`;
}

/** Groups queries into about `most` bars or fewer. No bar mixes gains, losses and unchanged queries. */
function barsOf(sorted: readonly Change[], most: number): Bar[] {
  const size = Math.max(1, Math.ceil(sorted.length / most));
  const bars: Bar[] = [];
  for (let from = 0; from < sorted.length; ) {
    const sign = Math.sign(changeOf(sorted[from]!));
    let to = from;
    let sum = 0;
    while (to < sorted.length && (sign === 0 || to < from + size)) {
      const change = changeOf(sorted[to]!);
      if (Math.sign(change) !== sign) break;
      sum += change;
      to++;
    }
    bars.push({ from, count: to - from, mean: sum / (to - from), label: labelOf(sorted, from, to) });
    from = to;
  }
  return bars;
}

function labelOf(sorted: readonly Change[], from: number, to: number): string {
  const [first, last] = [sorted[from]!, sorted[to - 1]!];
  if (to - from === 1) return `${first.text.slice(0, 200)} (${first.before.toFixed(3)} to ${first.after.toFixed(3)})`;
  const changes = changeOf(first) === 0 ? 'unchanged' : `${signed(changeOf(first))} to ${signed(changeOf(last))}`;
  return `queries ${from + 1} to ${to}: ${changes}`;
}

function draw({ from, count, mean, label }: Bar, frame: PlotFrame): Markup {
  const left = frame.x(from);
  const slot = frame.x(from + count) - left;
  const width = Math.max(0.4, slot > 4 && count === 1 ? slot - 1 : slot);
  const top = frame.y(Math.max(0, mean));
  const height = Math.max(mean === 0 ? 0.6 : 1, frame.y(Math.min(0, mean)) - top);
  const kind = mean > 0 ? 'gain' : mean < 0 ? 'loss' : 'same';
  return html`<rect class="${kind}" x="${left.toFixed(2)}" y="${top.toFixed(2)}" width="${width.toFixed(2)}" height="${height.toFixed(2)}"><title>${label}</title></rect>`;
}

function changeOf({ before, after }: Change): number {
  return after - before;
}
