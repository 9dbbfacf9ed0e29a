import { join } from 'node:path';
import { countsOf, type LeftOut, leftOutOf } from '../../report/index.ts';
import { buildPairs, defaultPairSettings, type RewardAudit } from '../../reward/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { trainingQueriesKey } from '../run/alignment-inputs.ts';
import { many, pairsAtMost } from '../run/estimates.ts';
import { type AlignmentStage, hashOf, outputOf } from '../run/stage.ts';
import { goldTexts } from './gold-texts.ts';

/** Bytes of JSON per pair. */
const PAIR_BYTES = 1500;
/** Queries per second. */
const PAIRED = 500;

/** Chooses and audits the preference pairs. */
export const pairsStage: AlignmentStage = {
  name: 'pairs',
  version: 1,
  wanted: () => true,
  settings: ({ recipe, prompt }) => ({ ...pairSettingsOf(recipe), prompt: prompt.text }),
  inputs(context) {
    return {
      queries: trainingQueriesKey(context.data, context.recipe),
      candidates: hashOf(context, 'candidates', 'candidates'),
      answers: hashOf(context, 'answers', 'answers'),
      rewards: hashOf(context, 'reward', 'rewards'),
    };
  },
  estimate(recipe, known) {
    const pairs = pairsAtMost(recipe, known);
    const work = `at most ${many(pairs, 'pair')}`;
    return { work, tokens: 0, bytes: pairs * PAIR_BYTES, seconds: known.counts.train / PAIRED };
  },
  async run(context, folder) {
    const { recipe, data, prompt, options } = context;
    const { files, audit } = await buildPairs({
      queries: await data.training(false),
      goldTexts: await goldTexts(context),
      candidates: outputOf(context, 'candidates', 'candidates')!,
      rewards: outputOf(context, 'reward', 'rewards')!,
      answers: outputOf(context, 'answers', 'answers'),
      prompt,
      settings: pairSettingsOf(recipe),
      out: join(folder, 'pairs.jsonl'),
      devOut: join(folder, 'pairs-dev.jsonl'),
      auditOut: join(folder, 'audit.json'),
      signal: options.signal,
      progress: options.progress,
    });
    const outputs = { pairs: files.pairs, audit: files.audit, ...(files.dev !== undefined && { dev: files.dev }) };
    const { pairs, queries } = audit;
    return { outputs, result: { train: pairs.train, dev: pairs.dev, queries, pairs, leftOut: unpaired(audit) } };
  },
};

/** Skipped queries and pairs. Queries without rewards are in the result of the reward stage. */
function unpaired({ queries, pairs, rewarding }: RewardAudit): LeftOut[] {
  const own = Object.entries(queries.dropped).filter(([reason]) => !Object.hasOwn(rewarding?.dropped ?? {}, reason));
  return [
    ...leftOutOf(queries.all, countsOf('queries', Object.fromEntries(own))),
    ...leftOutOf(pairs.built + pairs.repeated, { 'pairs that repeat an earlier one': pairs.repeated }),
    ...leftOutOf(pairs.built, { 'pairs that were not drawn': pairs.left }),
  ];
}

function pairSettingsOf(recipe: Recipe) {
  return defaultPairSettings({ ...recipe.pairs, seed: recipe.pairs.seed ?? recipe.seed });
}
