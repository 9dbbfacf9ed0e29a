import { dataTable } from './data-table.ts';
import { count, percent } from './figures.ts';
import { labelOf } from './labels.ts';
import type { LeftOut } from './left-out.ts';
import { html } from './markup.ts';
import type { Section } from './whole-page.ts';

/** What one stage left out, cut short and warned of. */
export interface StageRemarks {
  stage: string;
  leftOut: readonly LeftOut[];
  warnings: readonly string[];
}

/** Everything that a run passed over: a figure that lacks some of its queries or pairs says so. */
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
  const title = 'Left out, cut short, and warned of';
  if (rows.length === 0) return { title, body: html`<p>Nothing.</p>` };
  const columns = ['Stage', { title: 'what', kind: 'note' as const }, 'how many', 'share'];
  return {
    title,
    body: html`<p class="soft">What does not stand here did not occur; only answers do not tell whether they reached the token limit.</p>
${dataTable(columns, rows)}`,
  };
}

function sentence(line: string): string {
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
