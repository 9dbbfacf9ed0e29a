import { compareRuns } from '../measures/index.ts';
import type { ReportComparison } from '../report/index.ts';
import type { Arm } from './arms.ts';

/** Compares two arms query by query; both hold the same topics. */
export function compareArms(baseline: Arm, arm: Arm, measure: string, seed: number): ReportComparison {
  const { qrels } = arm.topics;
  const compared = compareRuns(qrels, baseline.retrieval.run, arm.retrieval.run, { measure, seed, missing: 'zero' });
  return {
    baseline: baseline.name,
    arm: arm.name,
    measure,
    delta: compared.delta,
    interval: [compared.interval.low, compared.interval.high],
    tTest: compared.tTest.p,
    randomization: compared.randomization.p,
    helped: compared.helped,
    hurt: compared.hurt,
    unchanged: compared.unchanged,
  };
}
