import { html, type Markup } from './markup.ts';
import { PlotFrame } from './plot-frame.ts';
import type { ReportQuery } from './report-data.ts';

/** A plot of queries that hardly changed is not blown up further than this. */
const LEAST_CHANGE = 0.05;

/**
 * Every query as one bar, sorted by how much the measure changed: gains on the left above the line, losses on the right
 * below it. With more queries than pixels the bars merge into an area of the same outline.
 */
export function changePlot(queries: readonly ReportQuery[], measure: string): Markup {
  const sorted = [...queries].sort((a, b) => changeOf(b) - changeOf(a));
  const largest = Math.max(LEAST_CHANGE, ...sorted.map((query) => Math.abs(changeOf(query))));
  const frame = new PlotFrame({
    ...{ width: 960, height: 280, label: `Change of ${measure} for each query, sorted` },
    x: { from: 0, to: sorted.length, whole: true, title: 'queries, from the most helped to the most hurt' },
    y: { from: -largest, to: largest, signed: true, title: `change of ${measure}` },
  });
  return frame.draw(sorted.map((query, index) => bar(query, index, frame)));
}

function bar(query: ReportQuery, index: number, frame: PlotFrame): Markup {
  const change = changeOf(query);
  const left = frame.x(index);
  const slot = frame.x(index + 1) - left;
  const width = Math.max(0.4, slot > 4 ? slot - 1 : slot);
  const top = frame.y(Math.max(0, change));
  const height = Math.max(change === 0 ? 0.6 : 1, frame.y(Math.min(0, change)) - top);
  const kind = change > 0 ? 'gain' : change < 0 ? 'loss' : 'same';
  const label = `${query.text} (${query.before.toFixed(3)} to ${query.after.toFixed(3)})`;
  return html`<rect class="${kind}" x="${left.toFixed(2)}" y="${top.toFixed(2)}" width="${width.toFixed(2)}" height="${height.toFixed(2)}"><title>${label}</title></rect>`;
}

function changeOf({ before, after }: ReportQuery): number {
  return after - before;
}
