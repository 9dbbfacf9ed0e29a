import { join, relative } from 'node:path';
import type { EvaluationData, Judgement } from '../evaluate/index.ts';
import { TABLE_MEASURES } from '../evaluate/index.ts';
import { type AlignResult, align, type Engine, readRecipe } from '../pipeline/index.ts';
import { labelOf } from '../report/index.ts';
import { counted } from '../system/index.ts';
import type { CommandContext } from './command.ts';
import { comparisonTable, sayVerdict } from './print-comparisons.ts';
import { formatTable } from './table.ts';

export interface AlignmentChoice {
  recipe: string;
  set: readonly string[];
  engine: Engine;
  out?: string | undefined;
  only?: string | undefined;
  allowCode?: boolean | undefined;
  checkAll?: boolean | undefined;
  threads?: number | undefined;
  offline?: boolean | undefined;
  json: boolean;
}

/** Runs a recipe, reports each stage, and prints the results. */
export async function runAlignment(given: AlignmentChoice, context: CommandContext): Promise<void> {
  const recipe = await readRecipe(given.recipe, given.set);
  const { engine, only, threads, offline, allowCode, checkAll } = given;
  const { signal, progress } = context;
  const result = await align(recipe, {
    folder: given.out ?? join('runs', recipe.name),
    ...{ engine, only, threads, offline, allowCode, checkAll, signal, progress },
    warn: (line) => context.warn(line),
    onStage: (name, { reused, changes, record }, round) => {
      const stage = round === undefined ? name : `round ${round}, ${name}`;
      context.say(reused ? `${stage}: already done` : `${stage}: ${record.seconds.toFixed(1)} s`);
      if (changes.length > 0) context.say(`  changed since the last run: ${changes.join('; ')}`);
    },
  });
  context.json(toJson(result));
  const { evaluation, reportFile, manifestFile } = result;
  if (given.json) return;
  if (result.rounds.length > 0) printRounds(result, context.say);
  if (evaluation !== undefined) printEvaluation(evaluation, context.say);
  if (reportFile !== undefined) context.say(`\nreport:   ${relative('.', reportFile)}`);
  if (manifestFile !== undefined) context.say(`manifest: ${relative('.', manifestFile)}`);
}

function toJson({ evaluation, reportFile, manifestFile, folder, stages, rounds, best }: AlignResult) {
  const path = rounds.length === 0 ? {} : { rounds, best };
  const files = { ...path, folder, manifest: manifestFile, report: reportFile };
  const seconds = Object.fromEntries([...stages].map(([name, { record }]) => [name, record.seconds]));
  if (evaluation === undefined) return { ...files, seconds };
  const { main, controls, judges, dataset, measure, seeds } = evaluation;
  return {
    ...judgementJson(main),
    alpha: Object.fromEntries(main.arms.flatMap(({ name, alpha }) => (alpha === undefined ? [] : [[name, alpha]]))),
    ...(controls !== undefined && { controls: judgementJson(controls) }),
    ...(judges.length > 0 && { judges: Object.fromEntries(judges.map((one) => [one.judge, judgementJson(one)])) }),
    ...{ dataset, measure, seeds, seconds },
    ...files,
  };
}

function judgementJson({ arms, tests }: Judgement) {
  return {
    arms: Object.fromEntries(arms.map(({ name, measures }) => [name, measures])),
    tests: Object.fromEntries(tests.map(({ arm, baseline, ...facts }) => [`${arm}-${baseline}`, facts])),
  };
}

/** Prints the measure of each arm on dev, round by round. */
function printRounds({ rounds, best }: AlignResult, say: (line: string) => void): void {
  const [first] = rounds;
  if (first === undefined) return;
  const names = Object.keys(first.arms);
  say(`\n${first.measure} on dev, by round; chosen by ${labelOf(first.chosenBy)}`);
  const rows = rounds.map(({ round, arms }) => [
    round === best ? `${round} (best)` : String(round),
    ...names.map((name) => (arms[name]?.value ?? 0).toFixed(4)),
  ]);
  say(formatTable(['round', ...names.map(labelOf)], rows));
}

function printEvaluation(
  { main, controls, judges, dataset, measure, seeds }: EvaluationData,
  say: (line: string) => void,
) {
  const [claim] = main.tests;
  if (claim !== undefined) {
    say('');
    sayVerdict(claim, say);
  }
  const over = seeds.length === 1 ? '' : `, means over ${seeds.length} generation seeds`;
  say(`\n${dataset.name}: ${dataset.test} test queries over ${counted(dataset.documents, 'document')}${over}`);
  printJudgement(main, measure, say);
  if (controls !== undefined) {
    say('\ncontrols');
    printJudgement(controls, measure, say);
  }
  for (const judgement of judges) {
    say(`\njudged by ${judgement.judge}`);
    printJudgement(judgement, measure, say);
  }
}

function printJudgement({ arms, tests }: Judgement, measure: string, say: (line: string) => void): void {
  const measures = [...new Set([measure, ...TABLE_MEASURES])];
  const rows = arms.map(({ name, alpha, measures: values }) => [
    labelOf(name),
    ...measures.map((one) => (values[one] ?? 0).toFixed(4)),
    alpha === undefined ? '' : alpha.toFixed(2),
  ]);
  say(formatTable(['', ...measures, 'alpha'], rows));
  say('');
  if (tests.length > 0) say(comparisonTable(tests));
}
