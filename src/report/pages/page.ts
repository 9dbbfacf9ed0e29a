import { type Comparison, verdictOn } from '../../evaluate/index.ts';
import { count, direction, largestOf, pValue, score, shorten, signed } from '../figures.ts';
import { labelOf } from '../labels.ts';
import { html, type Markup } from '../markup.ts';
import { changePlot } from '../plots/change-plot.ts';
import type { ReportArm, ReportCost, ReportData, ReportQuery } from '../report-data.ts';
import { dataTable } from '../sections/data-table.ts';
import { verdictCard } from '../sections/verdict-card.ts';
import { type Section, settingLists, wholePage } from '../whole-page.ts';

const EXAMPLES = 8;
const LISTED_DOCUMENTS = 4;
const SHOWN_CHARACTERS = 700;
const QUERY_CHARACTERS = 300;
/** Maximum number of rows in the table of queries: browsers cannot open a page of 100,000 rows. */
const LISTED_QUERIES = 1000;

/** Renders the report as one self-contained HTML file: no scripts, fonts or images from elsewhere. */
export function renderReport(data: ReportData): string {
  const main = data.comparisons[0];
  const { dataset, comparisons, cost, remarks } = data;
  const lead = html`<p class="soft">${dataset.name}, ${dataset.split} split: ${count(dataset.queries)} queries over ${count(dataset.documents)} documents.</p>
${main === undefined ? alone(data) : verdictCard({ claim: main, ...valuesOf(main, data), made: data.made })}`;
  return wholePage({
    title: data.title,
    lead,
    sections: [
      { title: 'Scores', body: scoreTable(data.arms) },
      comparisons.length === 0
        ? undefined
        : { title: 'Comparisons, query by query', body: comparisonTable(comparisons) },
      ...(main === undefined ? [] : querySections(main, data.queries)),
      cost === undefined ? undefined : { title: 'Cost', body: costCard(cost, data, main) },
      remarks.length === 0
        ? undefined
        : { title: 'Before you quote these results', body: remarks.map((remark) => html`<p>${remark}</p>`) },
      { title: 'Settings', body: settingLists(data.settings) },
    ],
  });
}

/** The lead of a report on a single search, which has no verdict. */
function alone({ made }: ReportData): Markup {
  return html`<p>One search was evaluated; there is no comparison.</p>${made.map((sentence) => html`<p class="soft">${sentence}</p>`)}`;
}

function valuesOf({ baseline, arm, measure }: Comparison, { arms }: ReportData) {
  const value = (wanted: string) => arms.find(({ name }) => name === wanted)?.measures[measure] ?? 0;
  return { before: value(baseline), after: value(arm) };
}

function scoreTable(arms: readonly ReportArm[]): Markup {
  const measures = [...new Set(arms.flatMap((arm) => Object.keys(arm.measures)))];
  const best = new Map(measures.map((name) => [name, largestOf(arms.map((arm) => arm.measures[name] ?? -1))]));
  const timed = arms.some(({ milliseconds }) => milliseconds !== undefined);
  const rows = arms.map((arm) => [
    html`${labelOf(arm.name)}<small>${arm.description}</small>`,
    ...measures.map((name) => {
      const value = arm.measures[name];
      return { content: value === undefined ? '' : score(value), look: value === best.get(name) ? 'best' : '' };
    }),
    ...(timed ? [arm.milliseconds === undefined ? '' : arm.milliseconds.toFixed(1)] : []),
  ]);
  const note = timed
    ? ' Milliseconds per query: median over queries searched one at a time after a warm-up, for embedding and search, without the LLM.'
    : '';
  return html`${dataTable(['Search', ...measures, ...(timed ? ['ms per query'] : [])], rows)}
<p class="soft">The best value of each column is bold.${note}</p>`;
}

function comparisonTable(comparisons: readonly Comparison[]): Markup {
  const corrected = comparisons.some(({ holm }) => holm !== undefined);
  const columns = [
    ...['Comparison', 'measure', 'change', '95 % interval', 'p'],
    ...(corrected ? ['p, Holm'] : []),
    ...['t-test p', 'helped', 'hurt', 'unchanged'],
  ];
  const rows = comparisons.map((one) => [
    html`${labelOf(one.arm)}<small>against ${labelOf(one.baseline)}: ${verdictOn(one).name}</small>`,
    one.measure,
    { content: signed(one.delta), look: direction(one.delta) },
    `${signed(one.interval[0])} to ${signed(one.interval[1])}`,
    pValue(one.randomization),
    ...(corrected ? [one.holm === undefined ? '' : pValue(one.holm)] : []),
    pValue(one.tTest),
    { content: count(one.helped), look: 'up' },
    { content: count(one.hurt), look: 'down' },
    count(one.unchanged),
  ]);
  const note = corrected ? " Holm's correction is for all comparisons of the table." : '';
  return html`${dataTable(columns, rows)}<p class="soft">p is from the paired randomisation test, two-sided.${note}</p>`;
}

function querySections(main: Comparison, queries: readonly ReportQuery[]): Section[] {
  const sorted = [...queries].sort((a, b) => b.after - b.before - (a.after - a.before));
  const helped = sorted.filter(({ before, after }) => after > before).slice(0, EXAMPLES);
  const hurt = sorted
    .filter(({ before, after }) => after < before)
    .slice(-EXAMPLES)
    .reverse();
  const none = html`<p class="soft">None.</p>`;
  return [
    {
      title: 'The change of each query',
      body: html`<p class="soft">Change of ${main.measure} from ${labelOf(main.baseline)} to ${labelOf(main.arm)}.</p>${changePlot(queries, main.measure)}`,
    },
    {
      title: 'Most helped',
      body: helped.length === 0 ? none : html`<div class="columns">${helped.map(example)}</div>`,
    },
    { title: 'Most hurt', body: hurt.length === 0 ? none : html`<div class="columns">${hurt.map(example)}</div>` },
    { title: 'All queries', body: queryTable(sorted) },
  ];
}

function example(query: ReportQuery): Markup {
  const change = query.after - query.before;
  const listed = query.relevant.slice(0, LISTED_DOCUMENTS);
  const more = query.relevant.length - listed.length;
  return html`<article class="${change > 0 ? 'gain' : 'loss'}"><h3><span class="${direction(change)}">${signed(change)}</span>${shorten(query.text, QUERY_CHARACTERS)}</h3>
${query.expansions.map((text) => html`<blockquote>${shorten(text, SHOWN_CHARACTERS)}</blockquote>`)}
<ul>${listed.map((document) => html`<li><span>rank ${rank(document.rankBefore)} \u2192 ${rank(document.rankAfter)}</span><span>${shorten(document.text, 160)}</span></li>`)}${more > 0 ? html`<li><span></span><span class="soft">and ${count(more)} more relevant documents</span></li>` : undefined}</ul></article>`;
}

/** The table of queries; only both ends of it if it is too long for a page. */
function queryTable(sorted: readonly ReportQuery[]): Markup {
  const half = LISTED_QUERIES / 2;
  const shown = sorted.length <= LISTED_QUERIES ? sorted : [...sorted.slice(0, half), ...sorted.slice(-half)];
  const rows = shown.map(({ text, before, after }) => [
    shorten(text, QUERY_CHARACTERS),
    score(before),
    score(after),
    { content: signed(after - before), look: direction(after - before) },
  ]);
  const left = sorted.length - shown.length;
  const note = html`<p class="soft">The ${count(half)} most helped and the ${count(half)} most hurt; the other ${count(left)} are in the JSON file next to this page.</p>`;
  return html`<details><summary>All ${count(sorted.length)} queries</summary>${left > 0 ? note : undefined}${dataTable(['query', 'before', 'after', 'change'], rows)}</details>`;
}

function costCard(cost: ReportCost, { arms }: ReportData, main: Comparison | undefined): Markup {
  const timeOf = (name: string | undefined) => arms.find((arm) => arm.name === name)?.milliseconds;
  const [raw, expanded] = [timeOf(main?.baseline), timeOf(main?.arm)];
  const search =
    raw === undefined || expanded === undefined
      ? undefined
      : html`<div><b>${raw.toFixed(1)} \u2192 ${expanded.toFixed(1)} ms</b><span>to embed and search one query, without and with its expansion</span></div>`;
  return html`<div class="card">
<div><b>${cost.completionTokens.toFixed(0)}</b><span>tokens written per query (prompt ${cost.promptTokens.toFixed(0)}); ${(100 * cost.cutAtLimit).toFixed(0)} % of the passages cut at the limit</span></div>
<div><b>${cost.generationMilliseconds === 0 ? 'not timed' : `${cost.generationMilliseconds.toFixed(0)} ms`}</b><span>LLM time per query, with other queries in parallel</span></div>
${search}</div>`;
}

function rank(value: number | null): string {
  return value === null ? 'none' : count(value);
}
