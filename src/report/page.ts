import type { Comparison } from '../evaluate/index.ts';
import { writeDurably } from '../system/index.ts';
import { changePlot } from './change-plot.ts';
import { count, direction, pValue, score, shorten, signed } from './figures.ts';
import { html, type Markup } from './markup.ts';
import type { ReportArm, ReportCost, ReportData, ReportQuery } from './report-data.ts';
import { settingLists, wholePage } from './whole-page.ts';

/** Writes the page, and beside it the same content as JSON (`report.html` and `report.json`). */
export async function writeReport(file: string, data: ReportData): Promise<void> {
  await writeDurably(file, renderReport(data));
  await writeDurably(file.replace(/\.html?$/i, '').concat('.json'), `${JSON.stringify(data, null, 1)}\n`);
}

const EXAMPLES = 8;
const LISTED_DOCUMENTS = 4;
const SHOWN_CHARACTERS = 700;

/** Writes the report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere. */
export function renderReport(data: ReportData): string {
  const main = data.comparisons[0];
  const content = html`<p class="soft">${data.dataset.name}, ${data.dataset.split} split: ${count(data.dataset.queries)} queries over ${count(data.dataset.documents)} documents.</p>
${main === undefined ? undefined : tiles(main, data)}
<h2>Scores</h2>${scoreTable(data.arms)}
${data.comparisons.length === 0 ? undefined : [html`<h2>Paired comparisons</h2>`, comparisonTable(data.comparisons)]}
${main === undefined ? undefined : querySections(main, data.queries)}
${data.cost === undefined ? undefined : costSection(data.cost)}
${data.remarks.length === 0 ? undefined : [html`<h2>Before you quote a figure</h2>`, data.remarks.map((remark) => html`<p>${remark}</p>`)]}
<h2>Settings</h2>${settingLists(data.settings)}`;
  return wholePage({ title: data.title }, content);
}

function tiles(main: Comparison, { arms }: ReportData): Markup {
  const before = arms.find(({ name }) => name === main.baseline)?.measures[main.measure] ?? 0;
  const after = arms.find(({ name }) => name === main.arm)?.measures[main.measure] ?? 0;
  return html`<div class="tiles">
<div class="tile"><b>${score(before)} \u2192 ${score(after)}</b><span>${main.measure}: ${main.baseline} to ${main.arm}</span></div>
<div class="tile"><b class="${direction(main.delta)}">${signed(main.delta)}</b><span>95 % interval ${signed(main.interval[0])} to ${signed(main.interval[1])}</span></div>
<div class="tile"><b><span class="up">${count(main.helped)}</span> / <span class="down">${count(main.hurt)}</span> / ${count(main.unchanged)}</b><span>queries helped / hurt / unchanged</span></div>
<div class="tile"><b>p ${pValue(main.randomization)}</b><span>paired randomisation test; t-test p ${pValue(main.tTest)}</span></div>
</div>`;
}

function scoreTable(arms: readonly ReportArm[]): Markup {
  const measures = [...new Set(arms.flatMap((arm) => Object.keys(arm.measures)))];
  const best = new Map(measures.map((name) => [name, Math.max(...arms.map((arm) => arm.measures[name] ?? -1))]));
  const rows = arms.map((arm) => {
    const cells = measures.map((name) => {
      const value = arm.measures[name];
      return html`<td class="${value === best.get(name) ? 'best' : ''}">${value === undefined ? '' : score(value)}</td>`;
    });
    return html`<tr><td>${arm.name}<small>${arm.description}</small></td>${cells}<td>${arm.searchMilliseconds.toFixed(1)}</td></tr>`;
  });
  return html`<div class="wide"><table><thead><tr><th>Search</th>${measures.map((name) => html`<th>${name}</th>`)}<th>ms a query</th></tr></thead><tbody>${rows}</tbody></table></div>
<p class="soft">The best of each column is bold. Milliseconds are embedding and search of a query in a batch, without the LLM.</p>`;
}

function comparisonTable(comparisons: readonly Comparison[]): Markup {
  const rows = comparisons.map(
    (one) =>
      html`<tr><td>${one.arm}<small>against ${one.baseline}</small></td><td>${one.measure}</td><td class="${direction(one.delta)}">${signed(one.delta)}</td><td>${signed(one.interval[0])} to ${signed(one.interval[1])}</td><td>${pValue(one.tTest)}</td><td>${pValue(one.randomization)}</td><td class="up">${count(one.helped)}</td><td class="down">${count(one.hurt)}</td><td>${count(one.unchanged)}</td></tr>`,
  );
  return html`<div class="wide"><table><thead><tr><th>Comparison</th><th>measure</th><th>change</th><th>95 % interval</th><th>t-test p</th><th>randomisation p</th><th>helped</th><th>hurt</th><th>unchanged</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

function querySections(main: Comparison, queries: readonly ReportQuery[]): Markup {
  const sorted = [...queries].sort((a, b) => b.after - b.before - (a.after - a.before));
  const helped = sorted.filter(({ before, after }) => after > before).slice(0, EXAMPLES);
  const hurt = sorted
    .filter(({ before, after }) => after < before)
    .slice(-EXAMPLES)
    .reverse();
  return html`<h2>What expansion did to each query</h2>
<p class="soft">Change of ${main.measure} from ${main.baseline} to ${main.arm}, one bar a query.</p>
<div class="wide">${changePlot(queries, main.measure)}</div>
<div class="columns"><section><h2>Most helped</h2>${helped.length === 0 ? html`<p class="soft">None.</p>` : helped.map(example)}</section>
<section><h2>Most hurt</h2>${hurt.length === 0 ? html`<p class="soft">None.</p>` : hurt.map(example)}</section></div>
<details><summary>All ${count(queries.length)} queries</summary><div class="wide"><table><thead><tr><th>query</th><th>before</th><th>after</th><th>change</th></tr></thead><tbody>${sorted.map(queryRow)}</tbody></table></div></details>`;
}

function example(query: ReportQuery): Markup {
  const change = query.after - query.before;
  const listed = query.relevant.slice(0, LISTED_DOCUMENTS);
  const more = query.relevant.length - listed.length;
  return html`<article class="${change > 0 ? 'gain' : 'loss'}"><h3><span class="${direction(change)}">${signed(change)}</span>${query.text}</h3>
${query.expansions.map((text) => html`<blockquote>${shorten(text, SHOWN_CHARACTERS)}</blockquote>`)}
<ul>${listed.map((document) => html`<li><span>rank ${rank(document.rankBefore)} \u2192 ${rank(document.rankAfter)}</span><span style="white-space:normal">${shorten(document.text, 160)}</span></li>`)}${more > 0 ? html`<li><span></span><span class="soft">and ${count(more)} more relevant documents</span></li>` : undefined}</ul></article>`;
}

function queryRow({ text, before, after }: ReportQuery): Markup {
  return html`<tr><td>${text}</td><td>${score(before)}</td><td>${score(after)}</td><td class="${direction(after - before)}">${signed(after - before)}</td></tr>`;
}

function costSection(cost: ReportCost): Markup {
  return html`<h2>What it costs</h2><div class="tiles">
<div class="tile"><b>${cost.completionTokens.toFixed(0)}</b><span>tokens written a query (prompt ${cost.promptTokens.toFixed(0)}); ${(100 * cost.cutAtLimit).toFixed(0)} % of the passages cut at the limit</span></div>
<div class="tile"><b>${cost.generationMilliseconds.toFixed(0)} ms</b><span>LLM latency of a query, with other queries under way beside it</span></div>
<div class="tile"><b>${cost.addedSearchMilliseconds.toFixed(1)} ms</b><span>added a query by embedding and searching the expansion</span></div></div>`;
}

function rank(value: number | null): string {
  return value === null ? 'none' : count(value);
}
