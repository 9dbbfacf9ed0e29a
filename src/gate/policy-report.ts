import { z } from 'zod';
import { compareValues, holmCorrection, shareUpperBound } from '../measures/index.ts';

/** Confidence of the bound on harmed queries. */
export const HARM_CONFIDENCE = 0.95;

/** Changes up to this size are no harm: rounding. */
const ROUNDING = 1e-9;

/** Whether a query has a lower measure than without expansion. */
export function isHarmed(value: number, never: number): boolean {
  return value < never - ROUNDING;
}

const harmSchema = z.strictObject({
  /** Queries with a lower measure than without expansion. */
  queries: z.int().nonnegative(),
  share: z.number(),
  /** The share among all such queries is at most this, with 95 % confidence (Clopper and Pearson 1934, one-sided). */
  atMost: z.number(),
});

/** What never expanding, always expanding, a gate and an oracle reach on the same queries. */
export const policyReportSchema = z.strictObject({
  queries: z.int().nonnegative(),
  /** Mean measure: `constant` is the weight that was best on the training queries, `oracle` the best weight of each query. */
  means: z.strictObject({
    never: z.number(),
    always: z.number(),
    constant: z.number(),
    gate: z.number(),
    oracle: z.number(),
  }),
  /** The gate against the others, p from the paired randomisation test, corrected by Holm's method for these tests. */
  tests: z
    .array(
      z.strictObject({
        against: z.enum(['never', 'always', 'constant']),
        delta: z.number(),
        interval: z.tuple([z.number(), z.number()]),
        p: z.number(),
        holm: z.number(),
        helped: z.int(),
        hurt: z.int(),
        unchanged: z.int(),
      }),
    )
    .max(10),
  harmed: z.strictObject({ always: harmSchema, constant: harmSchema, gate: harmSchema }),
  /** Queries for which the language model was not called. */
  saved: z.strictObject({ queries: z.int().nonnegative(), share: z.number() }),
});
export type PolicyReport = z.output<typeof policyReportSchema>;

/** What each policy reached on one query. */
export interface PolicyValues {
  never: number;
  always: number;
  constant: number;
  gate: number;
  oracle: number;
  /** Whether the gate had an expansion written. */
  isWritten: boolean;
}

/**
 * Compares the policies over queries that nothing was learned from.
 * @throws UsageError without queries
 */
export function comparePolicies(queries: readonly PolicyValues[], seed: number): PolicyReport {
  const valuesOf = (policy: keyof PolicyReport['means']) => queries.map((one) => one[policy]);
  const meanOf = (policy: keyof PolicyReport['means']) =>
    valuesOf(policy).reduce((sum, value) => sum + value, 0) / queries.length;
  const tests = (['never', 'always', 'constant'] as const).map((against) => {
    const { delta, interval, randomization, helped, hurt, unchanged } = compareValues(
      valuesOf(against),
      valuesOf('gate'),
      { seed },
    );
    return {
      against,
      delta,
      interval: [interval.low, interval.high] as [number, number],
      p: randomization.p,
      helped,
      hurt,
      unchanged,
    };
  });
  const holm = holmCorrection(tests.map(({ p }) => p));
  const harmOf = (policy: 'always' | 'constant' | 'gate') => {
    const count = queries.filter((one) => isHarmed(one[policy], one.never)).length;
    return {
      queries: count,
      share: count / queries.length,
      atMost: shareUpperBound(count, queries.length, HARM_CONFIDENCE),
    };
  };
  const saved = queries.filter(({ isWritten }) => !isWritten).length;
  return {
    queries: queries.length,
    means: {
      ...{ never: meanOf('never'), always: meanOf('always'), constant: meanOf('constant') },
      ...{ gate: meanOf('gate'), oracle: meanOf('oracle') },
    },
    tests: tests.map((test, at) => ({ ...test, holm: holm[at]! })),
    harmed: { always: harmOf('always'), constant: harmOf('constant'), gate: harmOf('gate') },
    saved: { queries: saved, share: saved / queries.length },
  };
}
