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
  answerGenerator,
  plan: z.boolean().default(false).describe('check the inputs and state queries, tokens, disk and hours; run nothing'),
  only: z
    .enum(STAGES as [string, ...string[]])
    .optional()
    .describe('do this stage alone; those before it must be finished'),
  checkAll: z
    .boolean()
    .default(false)
    .describe('before the first stage, load every model and reach every server, and tell all faults at once'),
  allowCode: z
    .boolean()
    .default(false)
    .describe('run the modules that the recipe names (rewards of your own); --plan never does'),
  engine: z.enum(ENGINES).default('local').describe("train here, or with TRL's own trainer where it is installed"),
  threads: z.coerce.number().int().positive().optional().describe('threads (default: one a core)'),
  offline: offlineOption,
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
    ['llm-qe align demo --answer-generator http://localhost:8000', 'a larger model on a server writes the answers'],
    ['llm-qe align mine.yaml --out runs/mine --only candidates', 'one stage, on a machine of its own'],
  ],
  async run(given, context) {
    const set = [...answerGeneratorOverrides(given.answerGenerator), ...given.set];
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

/** @throws UsageError where a setting cannot be, DataError where the recipe names what is not there */
function refuseFaults({ inputs }: AlignmentPlan): void {
  const named = (wanted: string) => inputs.filter(({ state }) => state === wanted).map(({ input }) => input);
  const [bad, missing] = [named('bad'), named('missing')];
  if (bad.length > 0) {
    throw new UsageError(`bad: ${bad.join(', ')}`, { fix: 'Fix what the plan above calls bad.' });
  }
  if (missing.length > 0) {
    throw new DataError(`missing: ${missing.join(', ')}`, {
      fix: 'Get what the plan above calls missing, or name another.',
    });
  }
}
