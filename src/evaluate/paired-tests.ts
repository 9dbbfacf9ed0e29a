import {
  bootstrapInterval,
  countEffects,
  holmCorrection,
  pairDifferences,
  pairedTTest,
  randomizationTest,
} from '../measures/index.ts';

/** One arm against another, query by query; a query's value is its mean over the generation seeds. */
export interface PairedTest {
  arm: string;
  baseline: string;
  /** Mean of arm minus baseline. */
  delta: number;
  /** Two-sided, of the paired randomisation test. */
  p: number;
  /** The same, corrected for all tests of the table (Holm 1979). */
  pHolm: number;
  /** Of Student's paired t-test. */
  tTest: number;
  /** 95 % bootstrap interval of the mean difference. */
  interval: [low: number, high: number];
  helped: number;
  hurt: number;
  unchanged: number;
}

/** Values by query id. */
export type QueryValues = ReadonlyMap<string, number>;

/**
 * Compares arms, and corrects for the number of comparisons made.
 * @param pairs arm and baseline of each test, by name; both hold the same queries
 */
export function pairedTests(
  values: ReadonlyMap<string, QueryValues>,
  pairs: readonly (readonly [arm: string, baseline: string])[],
  seed: number,
): PairedTest[] {
  const tests = pairs.map(([arm, baseline]) => compare(arm, baseline, values.get(arm)!, values.get(baseline)!, seed));
  const corrected = holmCorrection(tests.map(({ p }) => p));
  return tests.map((test, at) => ({ ...test, pHolm: corrected[at]! }));
}

function compare(arm: string, baseline: string, a: QueryValues, b: QueryValues, seed: number) {
  const queries = [...b.keys()];
  const valuesA = queries.map((id) => a.get(id) ?? 0);
  const valuesB = queries.map((id) => b.get(id) ?? 0);
  const differences = pairDifferences(valuesA, valuesB);
  const { low, high } = bootstrapInterval(differences, { seed });
  const { p, meanDifference: delta } = randomizationTest(differences, { seed });
  const interval: [number, number] = [low, high];
  return { arm, baseline, delta, p, tTest: pairedTTest(valuesA, valuesB).p, interval, ...countEffects(differences) };
}

/** Mean of each query's values over several runs // by query */
export function meanByQuery(runs: readonly QueryValues[]): Map<string, number> {
  const first = runs[0] ?? new Map<string, number>();
  return new Map(
    [...first.keys()].map((id) => [id, runs.reduce((sum, run) => sum + (run.get(id) ?? 0), 0) / runs.length]),
  );
}
