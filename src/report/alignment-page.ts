import type { CorrectedComparison, EvaluationData } from '../evaluate/index.ts';
import type { RewardAudit } from '../reward/index.ts';
import type { MetricsRecord } from '../train/index.ts';
import { auditSection } from './audit-page.ts';
import { changePlot } from './change-plot.ts';
import { count, direction, pValue, score, shorten, signed } from './figures.ts';
import { leftOutSection, type StageRemarks } from './left-out-section.ts';
import { html, type Markup } from './markup.ts';
import { armTable, describeTest, testTable } from './tables.ts';
import { trainingSection, tuningPlot } from './training-section.ts';
import { type SettingSections, settingLists, wholePage } from './whole-page.ts';

/** All that the page shows, as plain data. */
export interface AlignmentReport {
  title: string;
  recipe: { name: string; hash: string };
  evaluation: EvaluationData;
  audit: RewardAudit | undefined;
  /** Figures of the trainings by stage. */
  training: { dpo: MetricsRecord[]; sft: MetricsRecord[] };
  /** What each stage left out, cut short and warned of. */
  passedOver: StageRemarks[];
  stages: { name: string; seconds: number; note: string }[];
  settings: SettingSections;
  remarks: string[];
}

const EXAMPLES = 6;
const SHOWN_CHARACTERS = 500;

/** Writes the report as one HTML file that needs nothing else. */
export function renderAlignmentReport(report: AlignmentReport): string {
  const { evaluation, recipe, audit } = report;
  const { dataset, main, controls, judges, measure } = evaluation;
  const claim = main.tests[0];
  const content = html`<p class="soft">${dataset.name}: ${count(dataset.test)} test queries over ${count(dataset.documents)} documents${dataset.dev === 0 ? '' : `; alpha tuned for each arm on ${count(dataset.dev)} development queries`}. Recipe ${recipe.name}, hash <code>${recipe.hash.slice(0, 16)}</code>.</p>
${claim === undefined ? undefined : tiles(claim, evaluation)}
<h2>Scores</h2>${armTable(main, evaluation)}
<h2>Paired tests of ${measure}</h2>${testTable(main.tests)}
<p class="soft">A query's value is its mean over ${count(evaluation.seeds.length)} generation seed${evaluation.seeds.length === 1 ? '' : 's'}. p by the paired randomisation test, two-sided; Holm's correction counts all tests of the table.</p>
${claim === undefined ? undefined : querySections(claim, evaluation)}
${controls === undefined ? undefined : [html`<h2>Controls</h2><p class="soft">What an expansion does by its length or style alone. Each control takes the alpha of the arm that it is made of.</p>`, armTable(controls, evaluation), testTable(controls.tests)]}
${judges.map((judgement) => [html`<h2>The same expansions judged by ${judgement.judge}</h2>`, armTable(judgement, evaluation), testTable(judgement.tests)])}
${dataset.dev === 0 ? undefined : html`<h2>Choice of alpha</h2><p class="soft">${measure} on the development queries; the best value is taken to the test queries.</p><div class="columns"><section>${tuningPlot(main)}</section></div>`}
${trainingSection(report.training)}
${audit === undefined ? undefined : [html`<h2>Rewards and pairs</h2>`, auditSection(audit)]}
${leftOutSection(report.passedOver)}
${report.remarks.length === 0 ? undefined : [html`<h2>Before you quote a figure</h2>`, report.remarks.map((remark) => html`<p>${remark}</p>`)]}
<h2>Stages</h2>${stageTable(report.stages)}
<h2>Settings</h2>${settingLists(report.settings)}`;
  return wholePage({ title: report.title, style: OWN_STYLE }, content);
}

function tiles(claim: CorrectedComparison, { main, measure }: EvaluationData): Markup {
  const value = (name: string) => main.arms.find((arm) => arm.name === name)?.measures[measure] ?? 0;
  return html`<div class="tiles">
<div class="tile"><b>${score(value(claim.baseline))} \u2192 ${score(value(claim.arm))}</b><span>${measure}: ${claim.baseline} to ${claim.arm}</span></div>
<div class="tile"><b class="${direction(claim.delta)}">${signed(claim.delta)}</b><span>95 % interval ${signed(claim.interval[0])} to ${signed(claim.interval[1])}</span></div>
<div class="tile"><b><span class="up">${count(claim.helped)}</span> / <span class="down">${count(claim.hurt)}</span> / ${count(claim.unchanged)}</b><span>queries helped / hurt / unchanged</span></div>
<div class="tile"><b>p ${pValue(claim.randomization)}</b><span>${describeTest(claim)}</span></div>
</div>`;
}

type JudgedQuery = EvaluationData['queries'][number];

function querySections(claim: CorrectedComparison, { queries, measure }: EvaluationData): Markup {
  const change = ({ values }: JudgedQuery) => (values[claim.arm] ?? 0) - (values[claim.baseline] ?? 0);
  const sorted = [...queries].sort((a, b) => change(b) - change(a));
  const helped = sorted.filter((query) => change(query) > 0).slice(0, EXAMPLES);
  const hurt = sorted
    .filter((query) => change(query) < 0)
    .slice(-EXAMPLES)
    .reverse();
  const plotted = sorted.map((query) => ({
    ...{ id: query.id, text: query.text, expansions: [], relevant: [] },
    before: query.values[claim.baseline] ?? 0,
    after: query.values[claim.arm] ?? 0,
  }));
  const none = html`<p class="soft">None.</p>`;
  return html`<h2>What alignment did to each query</h2>
<p class="soft">Change of ${measure} from ${claim.baseline} to ${claim.arm}, one bar a query.</p>
<div class="wide">${changePlot(plotted, measure)}</div>
<h2>Most helped</h2>${helped.length === 0 ? none : helped.map((query) => example(query, change(query)))}
<h2>Most hurt</h2>${hurt.length === 0 ? none : hurt.map((query) => example(query, change(query)))}
<details><summary>All ${count(queries.length)} queries</summary><div class="wide"><table><thead><tr><th>query</th>${armsIn(queries).map((name) => html`<th>${name}</th>`)}<th>change</th></tr></thead><tbody>${sorted.map((query) => queryRow(query, change(query)))}</tbody></table></div></details>`;
}

function armsIn(queries: readonly JudgedQuery[]): string[] {
  return Object.keys(queries[0]?.values ?? {});
}

/** The texts of all arms side by side. */
function example({ text, relevant, texts, values }: JudgedQuery, change: number): Markup {
  const sides = Object.entries(texts).map(
    ([arm, passages]) =>
      html`<section><h4>${arm} <span>${score(values[arm] ?? 0)}</span></h4>${passages.length === 0 ? html`<p class="soft">wrote nothing</p>` : passages.map((passage) => html`<blockquote>${shorten(passage, SHOWN_CHARACTERS)}</blockquote>`)}</section>`,
  );
  return html`<article class="${change > 0 ? 'gain' : 'loss'}"><h3><span class="${direction(change)}">${signed(change)}</span>${text}</h3>
<div class="sides">${sides}</div>
${relevant.map((document) => html`<p class="relevant"><b>relevant</b> ${document}</p>`)}</article>`;
}

function queryRow({ text, values }: JudgedQuery, change: number): Markup {
  return html`<tr><td>${text}</td>${Object.values(values).map((value) => html`<td>${score(value)}</td>`)}<td class="${direction(change)}">${signed(change)}</td></tr>`;
}

function stageTable(stages: AlignmentReport['stages']): Markup {
  const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  const rows = stages.map(
    ({ name, seconds, note }) =>
      html`<tr><td>${name}</td><td>${duration(seconds)}</td><td class="note">${note}</td></tr>`,
  );
  return html`<div class="wide"><table><thead><tr><th>Stage</th><th>time</th><th class="note">what it made</th></tr></thead><tbody>${rows}<tr><td><b>all</b></td><td><b>${duration(total)}</b></td><td></td></tr></tbody></table></div>`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

const OWN_STYLE = `
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(230px, 100%), 1fr)); gap: 0 14px; }
.sides h4 { margin: 8px 0 0; font-size: .86rem; color: var(--soft); } .sides h4 span { float: right; font-variant-numeric: tabular-nums; }
.relevant { font-size: .9rem; margin: 4px 0; } .relevant b { color: var(--soft); font-weight: 600; margin-right: 6px; }
td.note, th.note { text-align: left; white-space: normal; color: var(--soft); }
`;
