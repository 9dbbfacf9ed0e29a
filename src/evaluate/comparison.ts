import { bootstrapInterval, pairedTTest, randomizationTest } from '../measures/index.ts';
import type { Arm } from './arms.ts';
import type { ReportComparison } from './report/report-data.ts';

/** Differences smaller than this are rounding, not change. */
const TOLERANCE = 1e-9;

/** Compares two arms query by query; both hold the same topics. */
export function compareArms(baseline: Arm, arm: Arm, measure: string, seed: number): ReportComparison {
  const before = perQuery(baseline, measure);
  const after = perQuery(arm, measure);
  const differences = after.map((value, row) => value - before[row]!);
  const bootstrap = bootstrapInterval(differences, { seed });
  return {
    baseline: baseline.name,
    arm: arm.name,
    measure,
    delta: mean(differences),
    interval: [bootstrap.low, bootstrap.high],
    tTest: pairedTTest(after, before).p,
    randomization: randomizationTest(differences, { seed }).p,
    helped: differences.filter((difference) => difference > TOLERANCE).length,
    hurt: differences.filter((difference) => difference < -TOLERANCE).length,
    unchanged: differences.filter((difference) => Math.abs(difference) <= TOLERANCE).length,
  };
}

/** Values in the order of the topics. */
function perQuery({ topics, scores }: Arm, measure: string): number[] {
  return topics.queries.map(({ id }) => scores.perQuery.get(id)?.[measure] ?? 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
