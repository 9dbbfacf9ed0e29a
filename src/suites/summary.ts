import { type Comparison, TABLE_MEASURES, toComparison } from '../evaluate/index.ts';
import { combineEffects, compareValues, describeSelfRetrieval, holmCorrection } from '../measures/index.ts';
import type { SuiteCell, SuiteData, SuiteMean, SuiteMeta, SuiteOverall, SuiteRow } from '../report/index.ts';
import { FEWEST_SETS } from '../report/index.ts';
import { counted } from '../system/index.ts';
import type { SetRun, SuiteFailure, SuiteRun } from './run-suite.ts';
import type { Suite } from './suite-schema.ts';
import type { EmptyTexts, SystemRun } from './system-run.ts';
import { isExpanded, type SuiteSystem } from './system-spec.ts';

export interface SummaryOptions {
  suite: Suite;
  systems: readonly SuiteSystem[];
  baseline: string;
  /** One of the measures whose values are kept by query. */
  measure: string;
  /** Size of the sample of queries, if the sets were not searched with all of them. */
  limit?: number | undefined;
  seed: number;
}

/** A row before it is described: one set, or the sets of a group, which count equally. */
interface Row {
  name: string;
  isGroup: boolean;
  sets: SetRun[];
}

/** A system's effect on one row, for the meta-analysis. */
interface Effect {
  row: string;
  effect: number;
  variance: number;
}

/**
 * Compares the systems with the baseline, set by set and over all sets. P values are corrected over the sets, separately for
 * each system (Holm 1979).
 */
export function summarize(run: SuiteRun, options: SummaryOptions): Omit<SuiteData, 'parity' | 'comparison'> {
  const { suite, systems, baseline, measure } = options;
  const rows = rowsOf(run);
  const described = rows.map((row) => describeRow(row, options));
  const meta: SuiteMeta[] = [];
  const overall: SuiteOverall[] = [];
  for (const { name } of systems.filter((system) => system.name !== baseline)) {
    correct(described, name);
    const whole = overallOf(rows, name, options);
    if (whole !== undefined) overall.push(whole);
    const found = metaOf(rows, name, options);
    if (found !== undefined) meta.push(found);
  }
  return {
    ...{ suite: suite.name, measure, baseline },
    systems: systems.map((system) => {
      return { name: system.name, description: system.description, expanded: isExpanded(system) };
    }),
    ...{ rows: described, means: meansOf(described, options), overall: correctOverall(overall), meta },
    failures: run.failures.map(describeFailure),
    remarks: remarksOf(run, described, options),
  };
}

function rowsOf({ sets }: SuiteRun): Row[] {
  const rows = new Map<string, Row>();
  for (const one of sets) {
    const { name, group } = one.set;
    const key = group ?? name;
    const row = rows.get(key) ?? { name: key, isGroup: group !== undefined, sets: [] };
    row.sets.push(one);
    rows.set(key, row);
  }
  return [...rows.values()];
}

function describeRow(row: Row, options: SummaryOptions): SuiteRow {
  const cells: Record<string, SuiteCell> = {};
  for (const { name } of options.systems) {
    const runs = runsOf(row, name);
    if (runs === undefined) continue;
    cells[name] = { ...describeCell(runs), test: testOf(row, name, options) };
  }
  const counts = row.sets.map(({ runs }) => [...runs.values()][0]);
  const sum = (pick: (run: SystemRun) => number) => counts.reduce((total, run) => total + (run ? pick(run) : 0), 0);
  return {
    name: row.name,
    ...(row.isGroup && { parts: row.sets.map(({ set }) => set.name) }),
    ...{ documents: sum((run) => run.documents), queries: sum((run) => run.queries), cells },
  };
}

/** The runs of a system on all sets of a row; undefined if one is missing, because the mean of the others is another number. */
function runsOf({ sets }: Row, system: string): SystemRun[] | undefined {
  const runs = sets.map((one) => one.runs.get(system));
  return runs.includes(undefined) ? undefined : (runs as SystemRun[]);
}

function describeCell(runs: readonly SystemRun[]): SuiteCell {
  const mean = (pick: (run: SystemRun) => number) => runs.reduce((sum, run) => sum + pick(run), 0) / runs.length;
  const selves = runs.map((run) => run.selfRetrieval);
  const total = (pick: (self: (typeof selves)[number]) => number) => selves.reduce((sum, self) => sum + pick(self), 0);
  return {
    measures: Object.fromEntries(
      Object.keys(runs[0]!.measures).map((name) => [name, mean((run) => run.measures[name] ?? 0)]),
    ),
    milliseconds: mean((run) => run.milliseconds),
    tokens: runs.every(({ cost }) => cost !== undefined)
      ? {
          prompt: mean((run) => run.cost!.promptTokens),
          completion: mean((run) => run.cost!.completionTokens),
          milliseconds: mean((run) => run.cost!.milliseconds),
        }
      : undefined,
    selfHits: describeSelfRetrieval({
      dropped: selves.every((self) => self.dropped),
      kept: total((self) => self.kept),
      queries: total((self) => self.queries),
    }),
  };
}

/** Values of a row's queries, weighted so that their plain mean is the mean of the sets' means // [queries of all sets] */
function valuesOf(row: Row, system: string, measure: string): number[] | undefined {
  const columns = runsOf(row, system)?.map(({ values }) => [...(values.get(measure)?.values() ?? [])]);
  return columns && weighEqually(columns);
}

/** Joins columns, weighted so that the plain mean of all values is the mean of the columns' means. */
function weighEqually(columns: readonly (readonly number[])[]): number[] {
  const queries = columns.reduce((sum, { length }) => sum + length, 0);
  return columns.flatMap((column) => column.map((value) => (value * queries) / (columns.length * column.length)));
}

function testOf(row: Row, system: string, { baseline, measure, seed }: SummaryOptions): Comparison | undefined {
  if (system === baseline) return undefined;
  const [before, after] = [valuesOf(row, baseline, measure), valuesOf(row, system, measure)];
  if (before === undefined || after === undefined) return undefined;
  return toComparison({ arm: system, baseline, measure }, compareValues(before, after, { seed }));
}

/** Compares a system with the baseline over the queries of all rows that both finished, each row counting equally. */
function overallOf(
  rows: readonly Row[],
  system: string,
  { baseline, measure, seed }: SummaryOptions,
): SuiteOverall | undefined {
  const pairs = rows.flatMap((row) => {
    const [before, after] = [valuesOf(row, baseline, measure), valuesOf(row, system, measure)];
    return before === undefined || after === undefined ? [] : [{ name: row.name, before, after }];
  });
  if (pairs.length === 0) return undefined;
  const [before, after] = [pairs.map((pair) => pair.before), pairs.map((pair) => pair.after)].map(weighEqually);
  const compared = compareValues(before!, after!, { seed });
  return { ...toComparison({ arm: system, baseline, measure }, compared), sets: pairs.map(({ name }) => name) };
}

/** Several systems are several tests. */
function correctOverall(all: readonly SuiteOverall[]): SuiteOverall[] {
  if (all.length < 2) return [...all];
  const corrected = holmCorrection(all.map(({ randomization }) => randomization));
  return all.map((one, at) => ({ ...one, holm: corrected[at]! }));
}

/** Adds the corrected p values of one system: the sets are the family of its tests. */
function correct(rows: readonly SuiteRow[], system: string): void {
  const tests = rows.map(({ cells }) => cells[system]?.test).filter((test) => test !== undefined);
  const corrected = holmCorrection(tests.map(({ randomization }) => randomization));
  tests.forEach((test, at) => {
    test.holm = corrected[at]!;
  });
}

function metaOf(rows: readonly Row[], system: string, options: SummaryOptions): SuiteMeta | undefined {
  const effects = rows.map((row) => effectOf(row, system, options)).filter((effect) => effect !== undefined);
  const moved = effects.filter(({ variance }) => variance > 0);
  const combined = combineEffects(moved);
  if (combined === undefined) return undefined;
  const { interval, p } = combined.studies < FEWEST_SETS ? { interval: undefined, p: undefined } : combined;
  return {
    ...combined,
    system,
    interval,
    p,
    unchanged: effects.filter(({ variance }) => variance === 0).map(({ row }) => row),
  };
}

/** Mean change of a row, and its squared standard error; the sets of a group are independent samples. */
function effectOf(row: Row, system: string, { baseline, measure }: SummaryOptions): Effect | undefined {
  const [before, after] = [runsOf(row, baseline), runsOf(row, system)];
  if (before === undefined || after === undefined) return undefined;
  const parts = after.map(({ values }, at) => {
    const base = before[at]!.values.get(measure)!;
    const changes = [...values.get(measure)!].map(([id, value]) => value - (base.get(id) ?? 0));
    const mean = changes.reduce((sum, change) => sum + change, 0) / changes.length;
    const squares = changes.reduce((sum, change) => sum + (change - mean) ** 2, 0);
    return { mean, variance: changes.length < 2 ? 0 : squares / (changes.length - 1) / changes.length };
  });
  const sum = (pick: (part: (typeof parts)[number]) => number) => parts.reduce((total, part) => total + pick(part), 0);
  return {
    row: row.name,
    effect: sum(({ mean }) => mean) / parts.length,
    variance: sum(({ variance }) => variance) / parts.length ** 2,
  };
}

/** Means over the rows that every system finished, and the same without the set that models are trained on. */
function meansOf(rows: readonly SuiteRow[], { systems, suite }: SummaryOptions): SuiteMean[] {
  const whole = rows.filter(({ cells }) => systems.every(({ name }) => cells[name] !== undefined));
  if (whole.length === 0) return [];
  const others = whole.filter(({ name }) => name !== suite.without);
  const means = [meanOver(whole, systems, `mean of ${whole.length}`)];
  if (others.length === whole.length || others.length === 0) return means;
  return [...means, meanOver(others, systems, `mean of ${others.length}, without ${suite.without}`)];
}

function meanOver(rows: readonly SuiteRow[], systems: readonly SuiteSystem[], label: string): SuiteMean {
  const names = Object.keys(rows[0]!.cells[systems[0]!.name]!.measures);
  const mean = (system: string, name: string) =>
    rows.reduce((sum, { cells }) => sum + (cells[system]!.measures[name] ?? 0), 0) / rows.length;
  return {
    ...{ label, rows: rows.map(({ name }) => name) },
    measures: Object.fromEntries(
      systems.map((system) => [system.name, Object.fromEntries(names.map((name) => [name, mean(system.name, name)]))]),
    ),
  };
}

/** `set, system: what is wrong. The fix` */
export function describeFailure({ set, system, message, fix }: SuiteFailure): string {
  return `${set}${system === undefined ? '' : `, ${system}`}: ${message}. ${fix}`;
}

function remarksOf(run: SuiteRun, rows: readonly SuiteRow[], { systems, limit, seed }: SummaryOptions): string[] {
  const partial = rows.filter(({ cells }) => systems.some(({ name }) => cells[name] === undefined));
  const notes = new Set(
    run.sets.flatMap(({ set, runs }) =>
      [...runs.values()].flatMap((one) => one.notes.map((note) => `${set.name}: ${note}`)),
    ),
  );
  return [
    ...(limit === undefined
      ? []
      : [
          `A random sample of at most ${counted(limit, 'query')} per set was searched (seed ${seed}), so no score is held against a published one.`,
        ]),
    ...(partial.length === 0
      ? []
      : [
          `Incomplete, and not in the means: ${partial.map(({ name }) => name).join(', ')} (${counted(run.failures.length, 'failure')}).`,
        ]),
    ...systems.flatMap(({ name }) => emptyTextsRemark(run, name) ?? []),
    ...notes,
  ];
}

/** Says how many expansions of a system are empty, over all sets; undefined if none is. */
function emptyTextsRemark({ sets }: SuiteRun, system: string): string | undefined {
  const found = sets.map(({ runs }) => runs.get(system)?.emptyTexts).filter((texts) => texts !== undefined);
  const sum = (part: keyof EmptyTexts) => found.reduce((total, texts) => total + texts[part], 0);
  const [empty, expansions, plain] = [sum('empty'), sum('expansions'), sum('plainQueries')];
  if (empty === 0) return undefined;
  const searched =
    plain === 0
      ? ''
      : `; ${counted(plain, 'query has no other, and was', 'queries have no other, and were')} searched without expansion`;
  return `${system}: ${empty} of ${counted(expansions, 'expansion')} ${empty === 1 ? 'is' : 'are'} empty${searched}.`;
}

/** The measures that a table may show, because the values of their queries are kept. */
export const SUITE_MEASURES: readonly string[] = TABLE_MEASURES;
