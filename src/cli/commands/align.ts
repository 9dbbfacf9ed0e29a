import { join } from 'node:path';
import { z } from 'zod';
import { type AlignmentPlan, ENGINES, planAlignment, readRecipe, STAGES } from '../../pipeline/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { DataError, UsageError } from '../../system/index.ts';
import { answerGenerator, answerGeneratorOverrides } from '../answer-generator.ts';
import { defineCommand } from '../command.ts';
import { printPlan } from '../print-plan.ts';
import { runAlignment } from '../run-alignment.ts';

const options = z.object({
  recipe: z.string().describe('a recipe file, or one of the bundled recipes: demo, paper, smoke'),
  out: z
    .string()
    .optional()
    .describe('folder of the run (default: runs/<name of the recipe>)')
    .meta({ valueName: 'DIR' }),
  set: z
    .array(z.string())
    .default([])
    .describe('override a key of the recipe, for example pairs.minMargin=0.5')
    .meta({ valueName: 'KEY=VALUE' }),
  answerGenerator,
  rounds: z.coerce
    .number()
    .int()
    .positive()
    .optional()
    .describe(
      'rounds of both trainings, of the LLM and of the retriever; the best on dev is tested (sets rounds and retriever.enabled)',
    ),
  plan: z.boolean().default(false).describe('check the inputs and estimate tokens, disk and time; run nothing'),
  only: z
    .enum(STAGES as [string, ...string[]])
    .optional()
    .describe('run only this stage; the stages before it must be finished'),
  checkAll: z
    .boolean()
    .default(false)
    .describe('before the first stage, load every model, contact every server, and report all faults together'),
  allowCode: z
    .boolean()
    .default(false)
    .describe('allow the recipe to run the modules that it names (custom rewards); --plan never runs them'),
  engine: z.enum(ENGINES).default('local').describe("train in this program, or with TRL's trainer, if installed"),
  threads: z.coerce.number().int().positive().optional().describe('processor threads (default: one per core)'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'align',
  summary: 'align the LLM to the retriever with a recipe, and show whether it helped',
  description:
    'Runs the stages: candidates, answers, rewards, pairs, training (SFT and DPO), on request training of the retriever and of a student,\nexpansions for every arm, alpha tuned on the development split, evaluation on the test split, report. With --rounds the two trainings\nalternate; the best round on the development split is tested. The results of a stage are stored under a key of its settings and\ninputs. After an interruption, run the same command again: it resumes and repeats nothing. A changed setting starts new\nsub-folders from the first stage that it affects, and keeps the old ones.',
  arguments: [{ key: 'recipe', required: true }],
  options,
  examples: [
    ['llm-qe align demo', 'the small experiment: default models, WordNet'],
    ['llm-qe align paper --plan', 'what the published settings would need'],
    [
      'llm-qe align demo --set reward.weights.rank-answer=0',
      'an ablation without the answer reward; reuses the stages that it does not affect',
    ],
    ['llm-qe align demo --answer-generator http://localhost:8000', 'a larger model on a server writes the answers'],
    [
      'llm-qe align demo --rounds 2',
      'both loops: the LLM and the retriever, twice in turn, the best round on dev is tested',
    ],
    ['llm-qe align mine.yaml --out runs/mine --only candidates', 'one stage, for example on another machine'],
  ],
  async run(given, context) {
    const set = [...answerGeneratorOverrides(given.answerGenerator), ...roundOverrides(given), ...given.set];
    if (given.plan) {
      const recipe = await readRecipe(given.recipe, set);
      const { threads, offline, engine, only } = given;
      const folder = given.out ?? join('runs', recipe.name);
      const { signal, progress } = context;
      const plan = await planAlignment(recipe, { folder, engine, only, threads, offline, signal, progress });
      context.json(plan);
      if (!given.json) printPlan(plan, context.say);
      refuseFaults(plan);
      return;
    }
    await runAlignment({ ...given, set }, context);
  },
});

/** Rounds are of both trainings, unless `--set retriever.enabled=false` follows. */
function roundOverrides({ rounds }: { rounds?: number | undefined }): string[] {
  return rounds === undefined ? [] : [`rounds=${rounds}`, 'retriever.enabled=true'];
}

/** @throws UsageError if an input is bad, DataError if one is missing */
function refuseFaults({ inputs }: AlignmentPlan): void {
  const named = (wanted: string) => inputs.filter(({ state }) => state === wanted).map(({ input }) => input);
  const [bad, missing] = [named('bad'), named('missing')];
  if (bad.length > 0) {
    throw new UsageError(`bad: ${bad.join(', ')}`, { fix: 'Fix the inputs that the plan above marks as bad.' });
  }
  if (missing.length > 0) {
    throw new DataError(`missing: ${missing.join(', ')}`, {
      fix: 'Provide the inputs that the plan above marks as missing, or use others.',
    });
  }
}
