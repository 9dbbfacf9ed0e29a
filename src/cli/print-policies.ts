import type { PolicyReport } from '../gate/index.ts';
import { percent, pValue } from '../report/index.ts';
import { formatTable } from './table.ts';

type Named = readonly [name: string, report: PolicyReport];

/** What each policy reaches, one line for each report. */
export function policyTable(reports: readonly Named[], measure: string): string {
  const rows = reports.map(([name, { queries, means, saved }]) => [
    ...[name, String(queries)],
    ...[means.never, means.always, means.constant, means.gate, means.oracle].map((value) => value.toFixed(4)),
    percent(saved.share),
  ]);
  return formatTable([measure, 'queries', 'never', 'always', 'constant', 'gate', 'oracle', 'LLM calls saved'], rows);
}

/** The gate against the other policies. */
export function policyTests(reports: readonly Named[]): string {
  const rows = reports.flatMap(([name, { tests }]) =>
    tests.map(({ against, delta, interval: [low, high], holm, helped, hurt, unchanged }) => [
      `${name}: gate against ${against}`,
      signed(delta),
      `${signed(low)} to ${signed(high)}`,
      pValue(holm),
      `${helped} / ${hurt} / ${unchanged}`,
    ]),
  );
  return formatTable(['change', 'delta', '95 % interval', 'p, Holm', 'helped / hurt / unchanged'], rows);
}

/** Queries that are worse than without expansion. */
export function harmedTable(reports: readonly Named[]): string {
  const rows = reports.flatMap(([name, { harmed, queries }]) =>
    (['always', 'constant', 'gate'] as const).map((policy) => {
      const { queries: count, share, atMost } = harmed[policy];
      return [`${name}, ${policy}`, `${count} of ${queries}`, percent(share), percent(atMost)];
    }),
  );
  return formatTable(['harmed queries', '', 'share', 'at most (95 %)'], rows);
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
}
