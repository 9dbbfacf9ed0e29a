import { type EvaluationData, pairedTests } from '../../../evaluate/index.ts';
import { DEFAULT_SEED } from '../../../system/index.ts';
import type { Facts, RunDifference } from '../../shapes/runs.ts';
import { shownTest } from './evaluations.ts';

/** What is compared of a run. */
export interface ComparedRun {
  name: string;
  settings: Facts;
  /** Undefined if it was not evaluated. */
  evaluation: EvaluationData | undefined;
}

/** Compares two runs: the settings that differ, and every arm that both have, by the paired tests that compare arms of one run. */
export function differenceOf(a: ComparedRun, b: ComparedRun): RunDifference {
  const [before, after] = [new Map(a.settings), new Map(b.settings)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const differing = names.filter((name) => before.get(name) !== after.get(name));
  const settings = differing.map((name) => ({ name, a: before.get(name), b: after.get(name) }));
  return { ...{ a: a.name, b: b.name, settings, same: names.length - differing.length }, ...compareScores(a, b) };
}

function compareScores(
  a: ComparedRun,
  b: ComparedRun,
): Pick<RunDifference, 'why' | 'measure' | 'queries' | 'alone' | 'arms'> {
  const none = { queries: 0, alone: 0, arms: [] };
  const missing = [a, b].find(({ evaluation }) => evaluation === undefined);
  if (missing !== undefined) {
    return {
      ...none,
      why: `${missing.name} has no finished evaluation of an alignment, which holds a value for each query.`,
    };
  }
  const [one, other] = [a.evaluation!, b.evaluation!];
  if (one.measure !== other.measure) {
    return { ...none, why: `They were evaluated by different measures: ${one.measure} and ${other.measure}.` };
  }
  if (one.dataset.name !== other.dataset.name) {
    return { ...none, why: `They were evaluated on different data: ${one.dataset.name} and ${other.dataset.name}.` };
  }
  const ids = new Set(one.queries.map(({ id }) => id));
  const shared = new Set(other.queries.flatMap(({ id }) => (ids.has(id) ? [id] : [])));
  if (shared.size < 2) return { ...none, why: 'They have no test queries in common.' };
  const alone = one.queries.length + other.queries.length - 2 * shared.size;
  return { measure: one.measure, queries: shared.size, alone, arms: armTests(one, other, shared) };
}

function armTests(one: EvaluationData, other: EvaluationData, shared: ReadonlySet<string>): RunDifference['arms'] {
  const names = one.main.arms
    .map(({ name }) => name)
    .filter((name) => other.main.arms.some((arm) => arm.name === name));
  const values = new Map(
    names.flatMap((name) => [
      [`a ${name}`, valuesOf(one, name, shared)] as const,
      [`b ${name}`, valuesOf(other, name, shared)] as const,
    ]),
  );
  const pairs = names.map((name) => [`b ${name}`, `a ${name}`] as const);
  const tests = pairedTests(values, pairs, { measure: one.measure, seed: DEFAULT_SEED });
  return tests.map((test, at) => ({
    ...{ ...shownTest(test), arm: names[at]!, baseline: names[at]! },
    ...{ meanA: meanOf(values.get(`a ${names[at]}`)!), meanB: meanOf(values.get(`b ${names[at]}`)!) },
  }));
}

function valuesOf({ queries }: EvaluationData, arm: string, shared: ReadonlySet<string>): Map<string, number> {
  return new Map(queries.filter(({ id }) => shared.has(id)).map(({ id, values }) => [id, values[arm] ?? 0]));
}

function meanOf(values: ReadonlyMap<string, number>): number {
  return [...values.values()].reduce((sum, value) => sum + value, 0) / values.size;
}
