import { ExpansionFile } from '../data/index.ts';
import { loadTopics } from '../evaluate/index.ts';
import type { SuiteComparison, SuiteQuery } from '../report/index.ts';
import { Random } from '../system/index.ts';
import { slicesOf } from './query-slices.ts';
import type { SetRun, SuiteRun } from './run-suite.ts';
import { openSet } from './set-data.ts';
import { isExpanded, type SuiteSystem } from './system-spec.ts';

/** More points do not show more, and make the page large. */
const MOST_POINTS = 2000;
/** Gains and losses that are shown with their texts. */
const SHOWN = 8;

export interface EffectsOptions {
  systems: readonly SuiteSystem[];
  baseline: string;
  measure: string;
  data: string;
  seed: number;
}

/**
 * Compares the baseline with the first system that expands (or else the first other one), query by query over all sets. Which system is
 * shown does not depend on the results.
 * @returns undefined if no set was finished by both
 */
export async function compareQueries(run: SuiteRun, options: EffectsOptions): Promise<SuiteComparison | undefined> {
  const { systems, baseline, seed } = options;
  const others = systems.filter(({ name }) => name !== baseline);
  const system = (others.find(isExpanded) ?? others[0])?.name;
  if (system === undefined) return undefined;
  const queries: SuiteQuery[] = [];
  for (const set of run.sets) queries.push(...(await queriesOf(set, system, options)));
  if (queries.length === 0) return undefined;
  const sorted = [...queries].sort((a, b) => changeOf(b) - changeOf(a));
  const gains = sorted.slice(0, SHOWN).filter((query) => changeOf(query) > 0);
  const losses = sorted
    .slice(-SHOWN)
    .reverse()
    .filter((query) => changeOf(query) < 0);
  await addExpansions(run, system, [...gains, ...losses]);
  const shown = queries.length <= MOST_POINTS ? queries : new Random(seed).shuffle([...queries]).slice(0, MOST_POINTS);
  return {
    ...{ system, baseline, queries: queries.length },
    helped: queries.filter((query) => changeOf(query) > 1e-9).length,
    hurt: queries.filter((query) => changeOf(query) < -1e-9).length,
    points: shown.map(({ before, after }) => [rounded(before), rounded(after)]),
    ...{ gains, losses, slices: slicesOf(queries) },
  };
}

function changeOf({ before, after }: Pick<SuiteQuery, 'before' | 'after'>): number {
  return after - before;
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}

async function queriesOf(
  { set, runs }: SetRun,
  system: string,
  { baseline, measure, data }: EffectsOptions,
): Promise<SuiteQuery[]> {
  const [before, after] = [runs.get(baseline)?.values.get(measure), runs.get(system)?.values.get(measure)];
  if (before === undefined || after === undefined) return [];
  const { queries } = await loadTopics(await openSet(set, { data }), set.split);
  return queries.flatMap(({ id, text }) => {
    const [one, two] = [before.get(id), after.get(id)];
    return one === undefined || two === undefined
      ? []
      : [{ set: set.name, id, text, expansions: [], before: one, after: two }];
  });
}

/** Reads the texts of the queries that are shown; those of all queries would not fit into memory. */
async function addExpansions(run: SuiteRun, system: string, queries: readonly SuiteQuery[]): Promise<void> {
  for (const { set, runs } of run.sets) {
    const file = runs.get(system)?.files.expansions;
    const wanted = queries.filter((query) => query.set === set.name);
    if (file === undefined || wanted.length === 0) continue;
    const texts = await ExpansionFile.open(file);
    try {
      for (const query of wanted) query.expansions.push(...(await texts.textsOf(query.id)));
    } finally {
      await texts.close();
    }
  }
}
