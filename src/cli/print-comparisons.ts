import { type Comparison, verdictOn } from '../evaluate/index.ts';
import { labelOf, pValue } from '../report/index.ts';
import { formatTable } from './table.ts';

/** Prints the verdict on the main comparison, and the reason for it. */
export function sayVerdict(main: Comparison, say: (line: string) => void): void {
  const { words, reason } = verdictOn(main);
  say(`${labelOf(main.arm)} against ${labelOf(main.baseline)}: ${words}`);
  say(`  ${reason}`);
}

/** Lays out comparisons as a table: change, interval, p, helped and hurt queries, verdict. */
export function comparisonTable(comparisons: readonly Comparison[]): string {
  const corrected = comparisons.some(({ holm }) => holm !== undefined);
  const rows = comparisons.map((one) => [
    `${labelOf(one.arm)} against ${labelOf(one.baseline)}`,
    signed(one.delta),
    `${signed(one.interval[0])} to ${signed(one.interval[1])}`,
    pValue(one.randomization),
    ...(corrected ? [one.holm === undefined ? '' : pValue(one.holm)] : []),
    `${one.helped} / ${one.hurt} / ${one.unchanged}`,
    verdictOn(one).name,
  ]);
  const columns = [
    'delta',
    '95 % interval',
    'p',
    ...(corrected ? ['p, Holm'] : []),
    'helped / hurt / unchanged',
    'verdict',
  ];
  return formatTable([`change of ${comparisons[0]!.measure}`, ...columns], rows);
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
}
