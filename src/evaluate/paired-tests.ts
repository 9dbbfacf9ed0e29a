import { compareValues, holmCorrection } from '../measures/index.ts';
import { type Comparison, toComparison } from './comparison.ts';

/** Values by query id. */
export type QueryValues = ReadonlyMap<string, number>;

/** A comparison that is one of several: its p-value is corrected for their number. */
export type CorrectedComparison = Comparison & { holm: number };

export interface PairedTestsOptions {
  /** The measure of the values. */
  measure: string;
  seed: number;
}

/**
 * Compares arms, and corrects for the number of comparisons made. A query's value is its mean over the generation seeds.
 * @param pairs arm and baseline of each test, by name; both hold the same queries
 */
export function pairedTests(
  values: ReadonlyMap<string, QueryValues>,
  pairs: readonly (readonly [arm: string, baseline: string])[],
  { measure, seed }: PairedTestsOptions,
): CorrectedComparison[] {
  const tests = pairs.map(([arm, baseline]) => {
    const [a, b] = [values.get(baseline)!, values.get(arm)!];
    const queries = [...a.keys()];
    const listOf = (one: QueryValues) => queries.map((id) => one.get(id) ?? 0);
    return toComparison({ arm, baseline, measure }, compareValues(listOf(a), listOf(b), { seed }));
  });
  const corrected = holmCorrection(tests.map(({ randomization }) => randomization));
  return tests.map((test, at) => ({ ...test, holm: corrected[at]! }));
}

/** Returns the mean of each query's values over several runs // by query */
export function meanByQuery(runs: readonly QueryValues[]): Map<string, number> {
  const first = runs[0] ?? new Map<string, number>();
  return new Map(
    [...first.keys()].map((id) => [id, runs.reduce((sum, run) => sum + (run.get(id) ?? 0), 0) / runs.length]),
  );
}
