import { counted } from '../../system/index.ts';
import { count, direction, largestOf, percent, pooledSets, pValue, score, shorten, signed } from '../figures.ts';
import { html, type Markup } from '../markup.ts';
import { barPlot } from '../plots/bar-plot.ts';
import { scatterPlot } from '../plots/scatter-plot.ts';
import { dataTable } from '../sections/data-table.ts';
import { SELF_HITS_IN_WORDS, selfHitsOf } from '../sections/self-hits.ts';
import { costSection } from '../sections/suite-cost.ts';
import { FEWEST_SETS, verdictList } from '../sections/suite-verdicts.ts';
import type { SuiteComparison, SuiteData, SuiteParity, SuiteQuery, SuiteRow } from '../suite-data.ts';
import { FEWEST_OF_KIND } from '../suite-data.ts';
import { type Section, wholePage } from '../whole-page.ts';

const [QUERY_CHARACTERS, TEXT_CHARACTERS] = [200, 360];

/** Renders the page of a suite: one file that loads nothing. */
export function renderSuiteReport(data: SuiteData): string {
  const { suite, comparison } = data;
  return wholePage({
    title: `Benchmark: ${suite}`,
    lead: lead(data),
    sections: [
      { title: 'Scores', body: scoreTable(data) },
      { title: 'Scores by set', body: bars(data) },
      changes(data),
      ...(comparison === undefined ? [] : comparisonSections(comparison, data)),
      costSection(data),
      paritySection(data),
      remarks(data),
    ],
  });
}

function lead(data: SuiteData): Markup {
  const { rows, means, measure, baseline, parity, failures } = data;
  const [mean] = means;
  const queries = rows.reduce((sum, row) => sum + row.queries, 0);
  const off = parity.filter(({ verdict }) => verdict === 'off');
  return html`<p class="soft">${counted(rows.length, 'collection')}, ${count(queries)} judged queries; ${measure}, ${mean?.label ?? 'no mean'}; changes are from ${baseline}</p>
${off.length === 0 ? undefined : html`<p class="verdict loss">Raw baselines are off<b>${off.map(offInWords).join('; ')}</b></p>`}
${failures.length === 0 ? undefined : html`<p class="verdict loss">Not everything could be searched<b>${failures.join('; ')}</b></p>`}
${verdictList(data)}`;
}

function offInWords({ set, system, got, expected }: SuiteParity): string {
  return `${set}, ${system}: ${score(got)} here, ${score(expected)} published`;
}

function scoreTable({ rows, means, systems, measure, baseline }: SuiteData): Markup {
  const names = systems.map(({ name }) => name);
  const cells = (values: (number | undefined)[], row?: SuiteRow) => {
    const best = largestOf(values.map((value) => Number((value ?? -1).toFixed(4))));
    return values.map((value, at) => {
      if (value === undefined) return 'failed';
      const p = row?.cells[names[at]!]?.test?.holm ?? 1;
      const mark = p < 0.01 ? '‡' : p < 0.05 ? '†' : '';
      return { content: `${score(value)}${mark}`, look: Number(value.toFixed(4)) === best ? 'best' : '' };
    });
  };
  const lines = [
    ...rows.map((row) => [
      html`${row.name}<small>${countsOf(row)}</small>`,
      ...cells(
        names.map((name) => row.cells[name]?.measures[measure]),
        row,
      ),
      selfHitsOf(row),
    ]),
    ...means.map(({ label, measures }) => [
      html`<b>${label}</b>`,
      ...cells(names.map((name) => measures[name]?.[measure])),
      '',
    ]),
  ];
  const columns = ['Set', ...names, { title: 'self hits', kind: 'note' as const }];
  return html`${dataTable(columns, lines)}<p class="soft">† p &lt; .05, ‡ p &lt; .01 against ${baseline}: paired randomisation test, corrected over the sets (Holm).
${SELF_HITS_IN_WORDS}. The best score of a row is bold.</p>`;
}

function countsOf({ parts, queries, documents }: SuiteRow): string {
  const group = parts === undefined ? '' : `mean of ${parts.length} sets; `;
  return `${group}${count(queries)} queries, ${count(documents)} documents`;
}

function bars({ rows, systems, measure }: SuiteData): Markup {
  const names = systems.map(({ name }) => name);
  const groups = rows.map(({ name, cells }) => {
    return { name, values: names.map((system) => cells[system]?.measures[measure]) };
  });
  return html`<figure>${barPlot(groups, names, `${measure} of each system by set`)}</figure>`;
}

function changes({ rows, systems, meta, baseline }: SuiteData): Section | undefined {
  const others = systems.filter(({ name }) => name !== baseline);
  const lines = others.flatMap(({ name }) => [
    ...rows.flatMap((row) => {
      const test = row.cells[name]?.test;
      if (test === undefined) return [];
      const { delta, interval, randomization, holm, helped, hurt } = test;
      return [
        [
          html`${row.name}<small>${name} against ${baseline}</small>`,
          { content: signed(delta), look: direction(delta) },
          `${signed(interval[0])} to ${signed(interval[1])}`,
          pValue(randomization),
          pValue(holm ?? 1),
          { content: count(helped), look: 'up' },
          { content: count(hurt), look: 'down' },
        ],
      ];
    }),
    ...meta
      .filter(({ system }) => system === name)
      .map(({ effect, interval, p, studies, iSquared, prediction }) => [
        html`<b>${pooledSets(studies, rows.length)}</b><small>${name}, random effects; ${
          interval === undefined
            ? `interval and p need at least ${FEWEST_SETS} sets`
            : `${percent(iSquared)} of the spread is not chance`
        }${prediction === undefined ? '' : `; another set: ${signed(prediction.low)} to ${signed(prediction.high)}`}</small>`,
        { content: signed(effect), look: direction(effect) },
        interval === undefined ? '' : `${signed(interval.low)} to ${signed(interval.high)}`,
        p === undefined ? '' : pValue(p),
        '',
        '',
        '',
      ]),
  ]);
  if (lines.length === 0) return undefined;
  const columns = ['Set', 'change', '95 % interval', 'p', 'p, Holm', 'helped', 'hurt'];
  return { title: 'Changes and tests', body: dataTable(columns, lines) };
}

function comparisonSections(comparison: SuiteComparison, { measure }: SuiteData): Section[] {
  const { system, baseline, queries, helped, hurt, points, gains, losses, slices } = comparison;
  const sample = points.length < queries ? ` A random sample of ${count(points.length)} is drawn.` : '';
  const plot = scatterPlot(
    points.map(([x, y]) => ({ x, y, look: y > x ? 'gain' : y < x ? 'loss' : 'same' })),
    {
      label: `${measure} of each query under ${baseline} and ${system}`,
      x: { from: 0, to: 1, title: `${measure} with ${baseline}` },
      y: { from: 0, to: 1, title: `${measure} with ${system}` },
      diagonal: true,
    },
  );
  const of = (list: readonly SuiteQuery[]) =>
    list.length === 0
      ? html`<p class="soft">None.</p>`
      : html`<div class="columns">${list.map((query) => example(query))}</div>`;
  const sections: Section[] = [
    {
      title: `Each query: ${baseline} and ${system}`,
      body: html`<p class="soft">Above the dashed line a query gained, below it lost. ${count(helped)} of ${count(queries)} queries gained, ${count(hurt)} lost.${sample}</p><figure>${plot}</figure>`,
    },
    { title: 'Largest gains', body: of(gains) },
    { title: 'Largest losses', body: of(losses) },
  ];
  if (slices.length === 0) {
    const why = `No kinds are told apart: each would need at least ${FEWEST_OF_KIND} queries, and the ${counted(queries, 'query')} here ${queries === 1 ? 'does' : 'do'} not divide so.`;
    return [...sections, { title: 'Kinds of queries', body: html`<p class="soft">${why}</p>` }];
  }
  const rows = slices.map(({ kind, name, queries: size, before, after }) => [
    html`${name}<small>${kind}</small>`,
    count(size),
    score(before),
    score(after),
    { content: signed(after - before), look: direction(after - before) },
  ]);
  return [
    ...sections,
    {
      title: 'Kinds of queries',
      body: html`${dataTable(['Queries', 'number', baseline, system, 'change'], rows)}<p class="soft">Means over the queries of all sets. The script stands for the language, which a few words do not show reliably. Kinds were looked at after the fact: they suggest, and prove nothing.</p>`,
    },
  ];
}

function example({ set, text, expansions, before, after }: SuiteQuery): Markup {
  const change = after - before;
  return html`<article class="${change > 0 ? 'gain' : 'loss'}"><h3><span class="${direction(change)}">${signed(change)}</span>${shorten(text, QUERY_CHARACTERS)}</h3>
<p class="soft">${set}: ${score(before)} → ${score(after)}</p>${expansions.slice(0, 2).map((one) => html`<blockquote>${shorten(one, TEXT_CHARACTERS)}</blockquote>`)}${
    expansions.length > 2 ? html`<p class="soft">and ${count(expansions.length - 2)} more texts</p>` : undefined
  }</article>`;
}

function paritySection({ parity }: SuiteData): Section | undefined {
  if (parity.length === 0) return undefined;
  const rows = parity.map(({ set, system, published, source, got, expected, verdict }) => [
    html`${set}<small>${system}; ${published}, ${source}</small>`,
    score(got),
    score(expected),
    { content: verdict, look: verdict === 'off' ? 'down' : '' },
  ]);
  return { title: 'Published scores', body: dataTable(['Set', 'here', 'published', 'verdict'], rows) };
}

function remarks({ remarks: all }: SuiteData): Section | undefined {
  if (all.length === 0) return undefined;
  return { title: 'Remarks', body: all.map((remark) => html`<p class="soft">${remark}</p>`) };
}
