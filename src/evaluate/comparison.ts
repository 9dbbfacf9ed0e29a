import { compareRuns } from '../measures/index.ts';
import type { Arm } from './arms.ts';

/** Two arms compared query by query on one measure. */
export interface Comparison {
  baseline: string;
  arm: string;
  measure: string;
  /** Mean of arm minus baseline. */
  delta: number;
  /** 95 % bootstrap interval of the mean difference. */
  interval: [low: number, high: number];
  /** Two-sided p-values. */
  tTest: number;
  randomization: number;
  helped: number;
  hurt: number;
  unchanged: number;
}

/** Compares two arms query by query; both hold the same topics. */
export function compareArms(baseline: Arm, arm: Arm, measure: string, seed: number): Comparison {
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
