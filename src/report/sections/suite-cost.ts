import { count, direction, largestOf, score, signed } from '../figures.ts';
import { html, type Markup } from '../markup.ts';
import { seriesClass } from '../plots/bar-plot.ts';
import { labelledPlot } from '../plots/labelled-plot.ts';
import type { SuiteData } from '../suite-data.ts';
import type { Section } from '../whole-page.ts';
import { dataTable } from './data-table.ts';

/** A point of nDCG is a hundredth. */
const POINT = 0.01;

/** A system's quality and what a query costs, as means over the rows that count in the mean. */
interface SystemCost {
  name: string;
  value: number;
  /** Embedding and search. */
  search: number;
  /** The LLM's time; 0 without expansions. */
  writing: number;
  tokens: number;
}

/** Renders quality against time and tokens: a table, and two plots in which systems that no other beats are blue. */
export function costSection(data: SuiteData): Section | undefined {
  const costs = costsOf(data);
  if (costs.length === 0) return undefined;
  const time = ({ search, writing }: SystemCost) => search + writing;
  const tokens = costs.some((one) => one.tokens > 0)
    ? html`<figure>${plot(costs, (one) => one.tokens, 'LLM tokens per query', data)}</figure>`
    : html`<p class="soft">No system used an LLM, so quality is not drawn against tokens.</p>`;
  const body = [
    costTable(costs, data),
    html`<figure>${plot(costs, time, 'milliseconds per query', data)}</figure>${tokens}
<p class="soft">No other system is better and as cheap as one on the frontier (Pareto's, dashed). Times are means of batches on this machine, the LLM's with other queries in parallel; tokens are those of prompts and texts.</p>`,
  ];
  return { title: 'Quality and cost', body };
}

function costsOf({ rows, means, systems, measure }: SuiteData): SystemCost[] {
  const [mean] = means;
  if (mean === undefined) return [];
  const counted = rows.filter(({ name }) => mean.rows.includes(name));
  return systems.map(({ name }) => {
    const average = (pick: (cell: (typeof counted)[number]['cells'][string]) => number) =>
      counted.reduce((sum, { cells }) => sum + pick(cells[name]!), 0) / counted.length;
    return {
      ...{ name, value: mean.measures[name]?.[measure] ?? 0, search: average((cell) => cell.milliseconds) },
      writing: average((cell) => cell.tokens?.milliseconds ?? 0),
      tokens: average((cell) => (cell.tokens?.prompt ?? 0) + (cell.tokens?.completion ?? 0)),
    };
  });
}

/** Whether no other system is at least as good and as cheap, and better in one of the two. */
function isOnFrontier(one: SystemCost, all: readonly SystemCost[], cost: (system: SystemCost) => number): boolean {
  return !all.some(
    (other) =>
      other.value >= one.value && cost(other) <= cost(one) && (other.value > one.value || cost(other) < cost(one)),
  );
}

function costTable(costs: readonly SystemCost[], { baseline, measure }: SuiteData): Markup {
  const base = costs.find(({ name }) => name === baseline);
  const rows = costs.map((one) => {
    const gain = one.value - (base?.value ?? 0);
    const points = gain / POINT;
    const more = one.tokens - (base?.tokens ?? 0);
    const slower = one.search + one.writing - (base === undefined ? 0 : base.search + base.writing);
    const isBase = one.name === baseline;
    return [
      one.name,
      score(one.value),
      isBase ? '' : { content: signed(gain), look: direction(gain) },
      one.search.toFixed(1),
      one.writing === 0 ? '' : count(Math.round(one.writing)),
      one.tokens === 0 ? '' : count(Math.round(one.tokens)),
      isBase ? '' : perPoint(slower, points, 'ms'),
      isBase ? '' : perPoint(more, points, 'tokens'),
    ];
  });
  const columns = [
    ...['System', measure, 'change', 'search, ms', 'LLM, ms', 'tokens'],
    ...['ms for a point', 'tokens for a point'],
  ];
  return html`${dataTable(columns, rows)}<p class="soft">Means per query over the sets of the mean. The last two columns are what one point of ${measure} (.01) more than ${baseline} costs.</p>`;
}

function perPoint(cost: number, points: number, unit: string): string {
  if (points <= 0) return 'no gain';
  if (cost <= 0) return 'nothing';
  const each = cost / points;
  return `${each < 9.95 ? each.toFixed(1) : count(Math.round(each))} ${unit}`;
}

/** Draws quality against a cost. Costs differ by powers of ten, so their axis is logarithmic. */
function plot(
  costs: readonly SystemCost[],
  cost: (system: SystemCost) => number,
  title: string,
  { measure }: SuiteData,
): Markup {
  const values = costs.map(({ value }) => value);
  const [low, high] = [-largestOf(values.map((value) => -value)), largestOf(values)];
  const room = Math.max(0.01, (high - low) / 6);
  const positive = costs.map(cost).filter((one) => one > 0);
  const points = costs.map((one) => {
    const isBest = isOnFrontier(one, costs, cost);
    return {
      ...{ name: one.name, x: cost(one), y: one.value, look: isBest ? 'gain' : 'same', isOnLine: isBest },
      title: `${one.name}: ${score(one.value)}, ${cost(one).toFixed(1)} ${title}`,
    };
  });
  const { picture, isNumbered } = labelledPlot(points, {
    label: `${measure} against ${title}`,
    x: {
      ...{ from: -largestOf(positive.map((one) => -one)), to: largestOf(positive), title: `${title}, logarithmic` },
      ...{ log: true, zero: positive.length < costs.length },
    },
    y: { from: low - room, to: high + room, title: measure },
  });
  const names = isNumbered ? costs.map(({ name }, at) => html`<span>${at + 1} ${name}</span> `) : [];
  return html`${picture}<p class="legend"><span><i class="${seriesClass(1)}"></i>on the frontier</span> <span><i class="${seriesClass(0)}"></i>beaten</span> ${names}</p>`;
}
