import {
  type CorrectedComparison,
  type EvaluationData,
  type Judgement,
  TABLE_MEASURES,
  verdictOn,
} from '../../evaluate/index.ts';
import { count, direction, largestOf, pValue, score, signed } from '../figures.ts';
import { labelOf } from '../labels.ts';
import { html, type Markup } from '../markup.ts';
import { dataTable } from './data-table.ts';

/** Renders the arms and their measures. The best value of each column is bold. */
export function armTable({ arms }: Judgement, { measure, seeds }: EvaluationData): Markup {
  const measures = [...new Set([measure, ...TABLE_MEASURES])];
  const best = new Map(measures.map((name) => [name, largestOf(arms.map((arm) => arm.measures[name] ?? -1))]));
  const several = seeds.length > 1;
  const rows = arms.map((arm) => [
    html`${labelOf(arm.name)}<small>${labelOf(arm.description)}</small>`,
    ...measures.map((name) => {
      const value = arm.measures[name] ?? 0;
      return { content: score(value), look: value === best.get(name) ? 'best' : '' };
    }),
    arm.alpha === undefined ? '' : arm.alpha.toFixed(2),
    arm.words === 0 ? '' : arm.words.toFixed(1),
    ...(several ? [arm.bySeed.length > 1 ? arm.bySeed.map(score).join(', ') : ''] : []),
  ]);
  const bySeed = several ? [{ title: `${measure} by seed`, kind: 'list' as const }] : [];
  return dataTable(['Arm', ...measures, 'alpha', 'words', ...bySeed], rows);
}

/** Renders paired tests, one per row, each with its verdict. */
export function testTable(tests: readonly CorrectedComparison[]): Markup {
  const rows = tests.map((one) => [
    html`${labelOf(one.arm)}<small>against ${labelOf(one.baseline)}: ${verdictOn(one).name}</small>`,
    { content: signed(one.delta), look: direction(one.delta) },
    `${signed(one.interval[0])} to ${signed(one.interval[1])}`,
    pValue(one.randomization),
    pValue(one.holm),
    pValue(one.tTest),
    { content: count(one.helped), look: 'up' },
    { content: count(one.hurt), look: 'down' },
    count(one.unchanged),
  ]);
  const columns = ['Comparison', 'change', '95 % interval', 'p', 'p, Holm', 't-test p', 'helped', 'hurt', 'unchanged'];
  return dataTable(columns, rows);
}
