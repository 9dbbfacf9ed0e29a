import { z } from 'zod';
import { compareRuns, type PairedComparison } from '../measures/index.ts';
import type { Arm } from './arms.ts';

/**
 * One arm against another, query by query, on one measure, as in tables, reports and `evaluation.json`. It is made from
 * the richer {@link PairedComparison} of the measures.
 */
export const comparisonSchema = z.object({
  arm: z.string(),
  baseline: z.string(),
  measure: z.string(),
  /** Mean of arm minus baseline. */
  delta: z.number(),
  /** 95 % bootstrap interval of the mean difference. */
  interval: z.tuple([z.number(), z.number()]),
  /** Two-sided p-value of Student's paired t-test. */
  tTest: z.number(),
  /** Two-sided p-value of the paired randomisation test. */
  randomization: z.number(),
  /** The same, corrected for all comparisons of one table (Holm 1979); only if there are several. */
  holm: z.number().optional(),
  helped: z.number(),
  hurt: z.number(),
  unchanged: z.number(),
});
export type Comparison = z.output<typeof comparisonSchema>;

/** What is compared with what. */
type Names = Pick<Comparison, 'arm' | 'baseline' | 'measure'>;

/** Flattens a comparison whose `a` is the baseline and whose `b` is the arm. */
export function toComparison(names: Names, compared: PairedComparison): Comparison {
  const { delta, interval, tTest, randomization, helped, hurt, unchanged } = compared;
  return {
    ...names,
    ...{ delta, interval: [interval.low, interval.high], tTest: tTest.p, randomization: randomization.p },
    ...{ helped, hurt, unchanged },
  };
}

/** Compares two arms with the same topics, query by query. */
export function compareArms(baseline: Arm, arm: Arm, measure: string, seed: number): Comparison {
  const { qrels } = arm.topics;
  const compared = compareRuns(qrels, baseline.retrieval.run, arm.retrieval.run, { measure, seed, missing: 'zero' });
  return toComparison({ arm: arm.name, baseline: baseline.name, measure }, compared);
}
