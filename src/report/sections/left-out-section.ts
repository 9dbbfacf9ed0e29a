import { count, percent } from '../figures.ts';
import { labelOf } from '../labels.ts';
import { html } from '../markup.ts';
import type { Section } from '../whole-page.ts';
import { dataTable } from './data-table.ts';
import type { LeftOut } from './left-out.ts';

/** What one stage skipped, cut short and warned of. */
export interface StageRemarks {
  stage: string;
  leftOut: readonly LeftOut[];
  warnings: readonly string[];
}

/** Lists everything that a run skipped, because results then lack some queries or pairs. */
export function leftOutSection(stages: readonly StageRemarks[]): Section {
  const rows = stages.flatMap(({ stage, leftOut, warnings }) => [
    ...leftOut.map(({ what, count: number, of }) => [
      labelOf(stage),
      what,
      `${count(number)} of ${count(of)}`,
      percent(number / Math.max(1, of)),
    ]),
    ...warnings.map((line) => [labelOf(stage), html`<b>warning</b> ${sentence(line)}`, '', '']),
  ]);
  const title = 'Skipped, cut short, and warnings';
  if (rows.length === 0) return { title, body: html`<p>Nothing.</p>` };
  const columns = ['Stage', { title: 'what', kind: 'note' as const }, 'how many', 'fraction'];
  return {
    title,
    body: html`<p class="soft">Anything not listed did not occur, with one exception: for answers, reaching the token limit is not recorded.</p>
${dataTable(columns, rows)}`,
  };
}

function sentence(line: string): string {
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
