import type { CorrectedComparison, EvaluationData } from '../../evaluate/index.ts';
import type { RewardAudit } from '../../reward/index.ts';
import { count, direction, score, shorten, signed } from '../figures.ts';
import { labelOf } from '../labels.ts';
import { html, type Markup } from '../markup.ts';
import { changePlot } from '../plots/change-plot.ts';
import { dataTable } from '../sections/data-table.ts';
import { describeAlpha, describeExpansions, describeSample, type ExpansionFacts } from '../sections/expansion-facts.ts';
import { leftOutSection, type StageRemarks } from '../sections/left-out-section.ts';
import { type RoundFigures, roundsSection } from '../sections/rounds-section.ts';
import { armTable, testTable } from '../sections/tables.ts';
import { type TrainingRecords, trainingSection, tuningPlot } from '../sections/training-section.ts';
import { verdictCard } from '../sections/verdict-card.ts';
import { type Section, type SettingSections, settingLists, wholePage } from '../whole-page.ts';
import { auditSections } from './audit-page.ts';

/** Everything that the page shows, as plain data. */
export interface AlignmentReport {
  title: string;
  recipe: { name: string; hash: string };
  evaluation: EvaluationData;
  audit: RewardAudit | undefined;
  /** Metrics of the trainings. */
  training: TrainingRecords;
  /** What each round reached on the development queries; empty if there is only one. */
  rounds?: readonly RoundFigures[] | undefined;
  bestRound?: number | undefined;
  /** What each stage skipped, cut short and warned of. */
  passedOver: StageRemarks[];
  stages: { name: string; seconds: number; note: string }[];
  settings: SettingSections;
  /** How the expansions were written. */
  writing?: ExpansionFacts | undefined;
  remarks: string[];
}

const EXAMPLES = 6;
const SHOWN_CHARACTERS = 500;
const QUERY_CHARACTERS = 300;
const LISTED_QUERIES = 1000;

/** Renders the report as one self-contained HTML file. */
export function renderAlignmentReport(report: AlignmentReport): string {
  const { evaluation, recipe, audit, remarks } = report;
  const { dataset, main, controls, judges, measure, seeds } = evaluation;
  const claim = main.tests[0];
  const value = (name: string) => main.arms.find((arm) => arm.name === name)?.measures[measure] ?? 0;
  const lead = html`<p class="soft">${dataset.name}: ${count(dataset.test)} test queries over ${count(dataset.documents)} documents. Recipe ${recipe.name}, hash <code>${recipe.hash.slice(0, 16)}</code>.</p>
${claim === undefined ? undefined : verdictCard({ claim, before: value(claim.baseline), after: value(claim.arm), made: howMade(report) })}`;
  const tests = html`${testTable(main.tests)}<p class="soft">A query's value is its mean over ${count(seeds.length)} generation seed${seeds.length === 1 ? '' : 's'}. The p values are from the paired randomisation test, two-sided; Holm's correction is for all tests of the table.</p>`;
  const tuning = html`<p class="soft">${measure} on the development queries. The alpha with the best value is used for the test queries.</p><div class="columns"><section>${tuningPlot(main)}</section></div>`;
  return wholePage({
    title: report.title,
    lead,
    sections: [
      { title: 'Scores', body: armTable(main, evaluation) },
      { title: `Paired tests of ${measure}`, body: tests },
      ...(claim === undefined ? [] : querySections(claim, evaluation)),
      controls && {
        title: 'Controls',
        body: html`<p class="soft">Controls show what an expansion does by its length or style alone. Each uses the alpha of the arm that it is derived from.</p>${armTable(controls, evaluation)}${testTable(controls.tests)}`,
      },
      ...judges.map((judgement) => ({
        title: `The same expansions, searched with ${labelOf(judgement.judge)}`,
        body: html`${armTable(judgement, evaluation)}${testTable(judgement.tests)}`,
      })),
      roundsSection(report.rounds ?? [], report.bestRound ?? 1),
      dataset.dev === 0 ? undefined : { title: 'Choice of alpha', body: tuning },
      trainingSection(report.training),
      ...(audit === undefined ? [] : auditSections(audit)),
      leftOutSection(report.passedOver),
      remarks.length === 0
        ? undefined
        : { title: 'Before you quote these results', body: remarks.map((remark) => html`<p>${remark}</p>`) },
      { title: 'Stages', body: stageTable(report.stages) },
      { title: 'Settings', body: settingLists(report.settings) },
    ],
  });
}

/** Describes how the expansions were written, how alpha was chosen, and whether there are few queries. */
function howMade({ evaluation, writing }: AlignmentReport): string[] {
  const { dataset, main } = evaluation;
  const alphas = main.arms.flatMap(({ name, alpha }) => (alpha === undefined ? [] : [`${alpha} for ${labelOf(name)}`]));
  const alpha = alphas.length === 0 ? undefined : describeAlpha(alphas.join(', '), dataset.dev === 0 ? 'given' : 'dev');
  return [writing && describeExpansions(writing), alpha, describeSample(dataset.test)].filter(
    (sentence) => sentence !== undefined,
  );
}

type JudgedQuery = EvaluationData['queries'][number];

function querySections(claim: CorrectedComparison, { queries, measure }: EvaluationData): Section[] {
  const change = ({ values }: JudgedQuery) => (values[claim.arm] ?? 0) - (values[claim.baseline] ?? 0);
  const sorted = [...queries].sort((a, b) => change(b) - change(a));
  const helped = sorted.filter((query) => change(query) > 0).slice(0, EXAMPLES);
  const hurt = sorted
    .filter((query) => change(query) < 0)
    .slice(-EXAMPLES)
    .reverse();
  const plotted = sorted.map(({ text, values }) => ({
    text,
    before: values[claim.baseline] ?? 0,
    after: values[claim.arm] ?? 0,
  }));
  const none = html`<p class="soft">None.</p>`;
  const shown =
    sorted.length <= LISTED_QUERIES
      ? sorted
      : [...sorted.slice(0, LISTED_QUERIES / 2), ...sorted.slice(-LISTED_QUERIES / 2)];
  const left = sorted.length - shown.length;
  const columns = ['query', ...armsIn(queries).map(labelOf), 'change'];
  return [
    {
      title: 'The change of each query',
      body: html`<p class="soft">Change of ${measure} from ${labelOf(claim.baseline)} to ${labelOf(claim.arm)}.</p>${changePlot(plotted, measure)}`,
    },
    { title: 'Most helped', body: helped.length === 0 ? none : helped.map((query) => example(query, change(query))) },
    { title: 'Most hurt', body: hurt.length === 0 ? none : hurt.map((query) => example(query, change(query))) },
    {
      title: 'All queries',
      body: html`<details><summary>All ${count(queries.length)} queries</summary>${left === 0 ? undefined : html`<p class="soft">Both ends of the list; the other ${count(left)} are in evaluation.json.</p>`}${dataTable(
        columns,
        shown.map((query) => queryRow(query, change(query))),
      )}</details>`,
    },
  ];
}

function armsIn(queries: readonly JudgedQuery[]): string[] {
  return Object.keys(queries[0]?.values ?? {});
}

/** The texts of all arms side by side. */
function example({ text, relevant, texts, values }: JudgedQuery, change: number): Markup {
  const sides = Object.entries(texts).map(
    ([arm, passages]) =>
      html`<section><h4>${labelOf(arm)} <span>${score(values[arm] ?? 0)}</span></h4>${passages.length === 0 ? html`<p class="soft">no expansion</p>` : passages.map((passage) => html`<blockquote>${shorten(passage, SHOWN_CHARACTERS)}</blockquote>`)}</section>`,
  );
  return html`<article class="${change > 0 ? 'gain' : 'loss'}"><h3><span class="${direction(change)}">${signed(change)}</span>${shorten(text, QUERY_CHARACTERS)}</h3>
<div class="sides">${sides}</div>
${relevant.map((document) => html`<p class="relevant"><b>relevant</b> ${shorten(document, SHOWN_CHARACTERS)}</p>`)}</article>`;
}

function queryRow({ text, values }: JudgedQuery, change: number) {
  const scores = Object.values(values).map(score);
  return [shorten(text, QUERY_CHARACTERS), ...scores, { content: signed(change), look: direction(change) }];
}

function stageTable(stages: AlignmentReport['stages']): Markup {
  const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  const rows = stages.map(({ name, seconds, note }) => [labelOf(name), duration(seconds), note]);
  return dataTable(['Stage', 'time', { title: 'result', kind: 'note' }], [...rows, ['all', duration(total), '']]);
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
