import { DataError } from '../system/index.ts';
import { evaluateRun } from './evaluate-run.ts';
import type { Qrels, Run } from './records.ts';
import {
  type BootstrapInterval,
  bootstrapInterval,
  countEffects,
  type EffectCounts,
  pairDifferences,
  pairedTTest,
  type RandomizationTest,
  type ResamplingOptions,
  randomizationTest,
  type TTest,
} from './significance.ts';

/**
 * What to do with a judged query that only one of the runs holds: refuse to compare; count it as 0 for the run that lacks
 * it (fair if that run searched for it and found nothing); or skip it.
 */
export type MissingPolicy = 'refuse' | 'zero' | 'common';

export interface ComparisonOptions extends ResamplingOptions {
  /** Name of the measure. */
  measure: string;
  /** 'refuse' by default. */
  missing?: MissingPolicy | undefined;
  /** Lowest grade that counts as relevant; 1 by default. */
  relevanceLevel?: number | undefined;
  /** Changes up to this size count as unchanged; 1e-9 by default. */
  tolerance?: number | undefined;
}

/** One query's values under both runs. */
export interface QueryChange {
  query: string;
  a: number;
  b: number;
  /** b - a. */
  delta: number;
}

/** How values B differ from values A of the same queries. */
export interface PairedComparison extends EffectCounts {
  /** Number of queries compared; the means are over these. */
  queries: number;
  meanA: number;
  meanB: number;
  /** meanB - meanA. */
  delta: number;
  tTest: TTest;
  randomization: RandomizationTest;
  /** Confidence interval of the mean difference. */
  interval: BootstrapInterval;
}

/** How run B differs from run A on one measure, query by query. */
export interface RunComparison extends PairedComparison {
  measure: string;
  /** Every query, from the largest gain to the largest loss. */
  changes: QueryChange[];
  /** Judged queries that only run B holds. */
  missingInA: string[];
  /** Judged queries that only run A holds. */
  missingInB: string[];
}

/**
 * Compares two runs over the same queries: means, paired tests, and the change of each query. Judged queries that
 * neither run holds do not count. If a system has several runs (other seeds), a query's value is its mean over them, so
 * that each query is still one sample for the tests.
 * @throws DataError if the runs hold different judged queries and `missing` is 'refuse', if they share none, and for
 *   everything that {@link evaluateRun} refuses
 */
export function compareRuns(
  qrels: Qrels,
  a: Run | readonly Run[],
  b: Run | readonly Run[],
  options: ComparisonOptions,
): RunComparison {
  const { measure, missing = 'refuse' } = options;
  const [inA, inB] = [valuesOf(qrels, a, options, missing), valuesOf(qrels, b, options, missing)];
  const missingInA = [...inB.keys()].filter((query) => !inA.has(query));
  const missingInB = [...inA.keys()].filter((query) => !inB.has(query));
  if (missing === 'refuse') refuseMissing(missingInA, missingInB);
  const queries = [...inA.keys()].filter((query) => missing === 'zero' || inB.has(query));
  if (missing === 'zero') for (const query of missingInA) queries.push(query);
  if (queries.length === 0) throw nothingShared();
  const valuesA = queries.map((query) => inA.get(query) ?? 0);
  const valuesB = queries.map((query) => inB.get(query) ?? 0);
  const differences = pairDifferences(valuesB, valuesA);
  return {
    measure,
    ...compareValues(valuesA, valuesB, options),
    changes: queries
      .map((query, row) => ({ query, a: valuesA[row]!, b: valuesB[row]!, delta: differences[row]! }))
      .sort((left, right) => right.delta - left.delta),
    missingInA,
    missingInB,
  };
}

/**
 * Compares two lists of values of the same queries: means, paired tests, counts.
 * @param a values in the order of the queries // [queries]
 * @param b values of the same queries in the same order // [queries]
 * @throws UsageError if there are no values, the lengths differ, or a value is not finite
 */
export function compareValues(
  a: readonly number[],
  b: readonly number[],
  options: Pick<ComparisonOptions, 'seed' | 'samples' | 'tolerance'> = {},
): PairedComparison {
  const differences = pairDifferences(b, a);
  const [meanA, meanB] = [mean(a), mean(b)];
  return {
    ...{ queries: a.length, meanA, meanB, delta: meanB - meanA },
    tTest: pairedTTest(b, a),
    randomization: randomizationTest(differences, options),
    interval: bootstrapInterval(differences, options),
    ...countEffects(differences, options.tolerance),
  };
}

/** Returns each query's mean over the runs of one system. `missing` decides about queries that only some runs hold. */
function valuesOf(
  qrels: Qrels,
  runs: Run | readonly Run[],
  { measure, relevanceLevel }: ComparisonOptions,
  missing: MissingPolicy,
): Map<string, number> {
  const all = Array.isArray(runs) ? (runs as readonly Run[]) : [runs as Run];
  const scored = all.map((run) => evaluateRun(qrels, run, { measures: [measure], relevanceLevel }).perQuery);
  const held = new Map<string, number>();
  for (const query of scored.flatMap((one) => [...one.keys()])) held.set(query, (held.get(query) ?? 0) + 1);
  const values = new Map<string, number>();
  for (const [query, count] of held) {
    if (count < scored.length && missing === 'refuse') throw unlikeSeeds(query);
    if (count < scored.length && missing === 'common') continue;
    values.set(query, mean(scored.map((one) => one.get(query)?.[measure] ?? 0)));
  }
  return values;
}

function unlikeSeeds(query: string): DataError {
  return new DataError('runs of one system hold different queries', {
    id: query,
    fix: 'Set missing (--missing) to "zero" (a missing query counts as 0) or "common" (only shared queries count).',
  });
}

function refuseMissing(missingInA: readonly string[], missingInB: readonly string[]): void {
  const first = missingInA[0] ?? missingInB[0];
  if (first === undefined) return;
  const counts = `run A lacks ${missingInA.length} judged queries of run B, and run B ${missingInB.length} of run A`;
  throw new DataError(`the runs hold different queries: ${counts}`, {
    id: first,
    fix: 'Set missing (--missing) to "zero" (a missing query counts as 0) or "common" (only shared queries count).',
  });
}

function nothingShared(): DataError {
  return new DataError('the runs share no judged query', { fix: 'Check that both belong to the same data set.' });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
