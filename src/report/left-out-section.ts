import { count, percent } from './figures.ts';
import type { LeftOut } from './left-out.ts';
import { html, type Markup } from './markup.ts';

/** What one stage left out, cut short and warned of. */
export interface StageRemarks {
  stage: string;
  leftOut: readonly LeftOut[];
  warnings: readonly string[];
}

/** Everything that a run passed over: a figure that lacks some of its queries or pairs says so. */
export function leftOutSection(stages: readonly StageRemarks[]): Markup {
  const rows = stages.flatMap(({ stage, leftOut, warnings }) => [
    ...leftOut.map(
      ({ what, count: number, of }) =>
        html`<tr><td>${stage}</td><td class="note">${what}</td><td>${count(number)} of ${count(of)}</td><td>${percent(number / Math.max(1, of))}</td></tr>`,
    ),
    ...warnings.map(
      (line) => html`<tr><td>${stage}</td><td class="note" colspan="3"><b>warning</b> ${sentence(line)}</td></tr>`,
    ),
  ]);
  const heading = html`<h2>Left out, cut short, and warned of</h2>`;
  if (rows.length === 0) return html`${heading}<p>Nothing.</p>`;
  return html`${heading}<p class="soft">What does not stand here did not occur; only answers do not tell whether they reached the token limit.</p>
<div class="wide"><table><thead><tr><th>Stage</th><th class="note">what</th><th>how many</th><th>share</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

function sentence(line: string): string {
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
