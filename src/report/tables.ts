import type { CorrectedComparison, EvaluationData, Judgement } from '../evaluate/index.ts';
import { TABLE_MEASURES } from '../evaluate/index.ts';
import { count, direction, pValue, score, signed } from './figures.ts';
import { html, type Markup } from './markup.ts';

/** Arms and their measures; the best of each column is bold. */
export function armTable({ arms }: Judgement, { measure, seeds }: EvaluationData): Markup {
  const measures = [...new Set([measure, ...TABLE_MEASURES])];
  const best = new Map(measures.map((name) => [name, Math.max(...arms.map((arm) => arm.measures[name] ?? -1))]));
  const rows = arms.map((arm) => {
    const cells = measures.map((name) => {
      const value = arm.measures[name] ?? 0;
      return html`<td class="${value === best.get(name) ? 'best' : ''}">${score(value)}</td>`;
    });
    const spread = arm.bySeed.length > 1 ? html`<td>${arm.bySeed.map(score).join(', ')}</td>` : html`<td></td>`;
    return html`<tr><td>${arm.name}<small>${arm.description}</small></td>${cells}<td>${arm.alpha === undefined ? '' : arm.alpha.toFixed(2)}</td><td>${arm.words === 0 ? '' : arm.words.toFixed(1)}</td>${seeds.length > 1 ? spread : undefined}</tr>`;
  });
  return html`<div class="wide"><table><thead><tr><th>Arm</th>${measures.map((name) => html`<th>${name}</th>`)}<th>alpha</th><th>words</th>${seeds.length > 1 ? html`<th>${measure} by seed</th>` : undefined}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** Paired tests, one a row. */
export function testTable(tests: readonly CorrectedComparison[]): Markup {
  const rows = tests.map(
    (one) =>
      html`<tr><td>${one.arm}<small>against ${one.baseline}</small></td><td class="${direction(one.delta)}">${signed(one.delta)}</td><td>${signed(one.interval[0])} to ${signed(one.interval[1])}</td><td>${pValue(one.randomization)}</td><td>${pValue(one.holm)}</td><td>${pValue(one.tTest)}</td><td class="up">${count(one.helped)}</td><td class="down">${count(one.hurt)}</td><td>${count(one.unchanged)}</td></tr>`,
  );
  return html`<div class="wide"><table><thead><tr><th>Comparison</th><th>change</th><th>95 % interval</th><th>p</th><th>p, Holm</th><th>t-test p</th><th>helped</th><th>hurt</th><th>unchanged</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

export function describeTest({ holm, tTest }: CorrectedComparison): string {
  return `paired randomisation test; with Holm's correction ${pValue(holm)}; t-test ${pValue(tTest)}`;
}
