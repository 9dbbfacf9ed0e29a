import { join, relative } from 'node:path';
import { z } from 'zod';
import { TABLE_MEASURES } from '../../evaluate/index.ts';
import {
  type AlignmentPlan,
  type AlignResult,
  align,
  ENGINES,
  type EvaluationData,
  type Judgement,
  planAlignment,
  readRecipe,
  STAGES,
} from '../../pipeline/index.ts';
import { DataError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { printPlan } from '../print-plan.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  recipe: z.string().describe('a recipe file, or demo, paper or smoke of those that come along'),
  out: z
    .string()
    .optional()
    .describe('folder of the run (default runs/ and the name of the recipe)')
    .meta({ valueName: 'DIR' }),
  set: z
    .array(z.string())
    .default([])
    .describe('override a key of the recipe, such as pairs.minMargin=0.5 (repeatable)')
    .meta({ valueName: 'KEY=VALUE' }),
  plan: z.boolean().default(false).describe('check the inputs and state queries, tokens, disk and hours; run nothing'),
  only: z.enum(STAGES).optional().describe('do this stage alone; those before it must be finished'),
  engine: z.enum(ENGINES).default('local').describe("train here, or with TRL's own trainer where it is installed"),
  threads: z.coerce.number().int().positive().optional().describe('threads (default: one a core)'),
  offline: z.boolean().default(false).describe('make no connection: use only what the model store holds'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'align',
  summary: 'align the LLM to the retriever by a recipe, and show whether it helped',
  description:
    'Candidates, answers, rewards, pairs, training (SFT and DPO), expansions of all arms, alpha tuned on dev, evaluation on test,\nreport. Each stage keeps what it made under a key of its settings and inputs: the same command goes on where it was cut off,\nand repeats nothing; a changed setting makes a new sub-folder beside the old one, from the first stage that it touches.',
  arguments: [{ key: 'recipe', required: true }],
  options,
  examples: [
    ['llm-qe align demo', 'the small one: default models, WordNet'],
    ['llm-qe align paper --plan', 'what the published settings would take'],
    [
      'llm-qe align demo --set reward.weights.rank-answer=0',
      'an ablation: without the answer reward; shares what it can',
    ],
    ['llm-qe align mine.yaml --out runs/mine --only candidates', 'one stage, on a machine of its own'],
  ],
  async run(given, context) {
    const recipe = await readRecipe(given.recipe, given.set);
    const { threads, offline, engine } = given;
    const folder = given.out ?? join('runs', recipe.name);
    const { signal, progress } = context;
    if (given.plan) {
      const plan = await planAlignment(recipe, { folder, engine, threads, offline, signal, progress });
      context.json(plan);
      if (!given.json) printPlan(plan, context.say);
      refuseMissing(plan);
      return;
    }
    const result = await align(recipe, {
      ...{ folder, engine, threads, offline, only: given.only, signal, progress },
      warn: (line) => context.warn(line),
      onStage: (name, { reused, changes, record }) => {
        context.say(reused ? `${name}: done before` : `${name}: ${record.seconds.toFixed(1)} s`);
        if (changes.length > 0) context.say(`  other than before: ${changes.join('; ')}`);
      },
    });
    reportAlignment(result, given.json, context);
  },
});

/** @throws DataError where the recipe names what is not there */
function refuseMissing({ inputs }: AlignmentPlan): void {
  const missing = inputs.filter(({ state }) => state === 'missing');
  if (missing.length === 0) return;
  throw new DataError(`missing: ${missing.map(({ input }) => input).join(', ')}`, {
    mend: 'Get what the plan above calls missing, or name another.',
  });
}

/** Prints what an alignment found. */
export function reportAlignment(result: AlignResult, isJson: boolean, context: CommandContext): void {
  context.json(toJson(result));
  const { evaluation, reportFile, manifestFile } = result;
  if (isJson) return;
  if (evaluation !== undefined) printEvaluation(evaluation, context.say);
  if (reportFile !== undefined) context.say(`\nreport:   ${relative('.', reportFile)}`);
  context.say(`manifest: ${relative('.', manifestFile)}`);
}

function toJson({ evaluation, reportFile, manifestFile, folder, stages }: AlignResult) {
  const files = { folder, manifest: manifestFile, report: reportFile };
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

function printEvaluation(
  { main, controls, judges, dataset, measure, seeds }: EvaluationData,
  say: (line: string) => void,
) {
  const over = seeds.length === 1 ? '' : `, means over ${seeds.length} generation seeds`;
  say(
    `\n${dataset.name}: ${dataset.test} test queries over ${dataset.documents.toLocaleString('en-US')} documents${over}`,
  );
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
    name,
    ...measures.map((one) => (values[one] ?? 0).toFixed(4)),
    alpha === undefined ? '' : alpha.toFixed(2),
  ]);
  say(formatTable(['', ...measures, 'alpha'], rows));
  say('');
  const compared = tests.map((one) => [
    `${one.arm} against ${one.baseline}`,
    `${one.delta < 0 ? '' : '+'}${one.delta.toFixed(4)}`,
    `${one.interval[0].toFixed(4)} to ${one.interval[1].toFixed(4)}`,
    pValue(one.p),
    pValue(one.pHolm),
    `${one.helped} / ${one.hurt} / ${one.unchanged}`,
  ]);
  say(
    formatTable(
      [`change of ${measure}`, 'delta', '95 % interval', 'p', 'p, Holm', 'helped / hurt / unchanged'],
      compared,
    ),
  );
}

function pValue(value: number): string {
  return value < 0.0001 ? '< 0.0001' : value.toFixed(4);
}
