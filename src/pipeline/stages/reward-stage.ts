import { join } from 'node:path';
import { countsOf, leftOutOf, sumOf } from '../../report/index.ts';
import { CorpusSearch } from '../../retrieve/index.ts';
import {
  checkRewards,
  modulesAmong,
  type NamedReward,
  openRewards,
  REWARD_FORMAT,
  rewardCandidates,
} from '../../reward/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { trainingQueriesKey } from '../run/alignment-inputs.ts';
import { encoderOf } from '../run/encoders.ts';
import { encoderWeights, encodingSeconds, many } from '../run/estimates.ts';
import { type AlignmentStage, hashOf, outputOf } from '../run/stage.ts';
import { goldTexts, readsTriples } from './gold-texts.ts';

/** Bytes of JSON per rewarded candidate. */
const REWARD_BYTES = 700;

/** Rewards every candidate. */
export const rewardStage: AlignmentStage = {
  name: 'reward',
  version: 1,
  wanted: () => true,
  settings(context) {
    const { recipe, rewards } = context;
    const isSearched = rewards.some(({ kind }) => kind === 'search');
    const { retriever, alpha } = recipe.reward;
    const { expansionRole, similarity, k1, b, analyzer, queryRepeats, keepSelf } = encoderOf(context).retrieval;
    return {
      format: REWARD_FORMAT,
      rewards: rewards.map(({ name, weight }) => `${name}=${weight}`).sort(),
      codeOfRewards: Object.fromEntries(rewards.map(({ name, fingerprint }) => [name, fingerprint])),
      expansionRole,
      search: isSearched ? { retriever, alpha, similarity, k1, b, analyzer, queryRepeats, keepSelf } : undefined,
    };
  },
  inputs(context) {
    return {
      encoder: encoderOf(context).key,
      queries: trainingQueriesKey(context.data, context.recipe),
      candidates: hashOf(context, 'candidates', 'candidates'),
      answers: hashOf(context, 'answers', 'answers'),
    };
  },
  checks: (recipe, { loadsCode = false }) => [
    {
      input: 'reward.weights',
      async find() {
        const named = await namedRewards(recipe, { loadsCode });
        return named.map(({ name, weight }) => `${name}=${weight}`).join(', ');
      },
    },
  ],
  modelChecks: (context) => [{ input: 'encoder', find: async () => (await encoderOf(context).open()).id }],
  /** The candidates are embedded, and for each query the query, its gold document and its answer. */
  estimate({ candidates: { samples, temperatures } }, { counts: { train }, encoder }) {
    const candidates = train * samples * temperatures.length;
    return {
      ...{ work: many(candidates, 'candidate'), tokens: 0, bytes: candidates * REWARD_BYTES },
      seconds: encodingSeconds(candidates + 3 * train, encoder),
    };
  },
  files: (recipe, { encoder }) => encoderWeights(encoder, recipe),
  async run(context, folder) {
    const { recipe, data, models, options } = context;
    const source = encoderOf(context);
    const encoder = await source.open();
    const { signal, progress } = options;
    const { dataset, trainSplit } = data;
    const settings = { ...source.retrieval, alpha: recipe.reward.alpha };
    const { store } = models;
    const search = new CorpusSearch(dataset, settings, { signal, progress, store, encoder });
    const choice = { ...settings, reward: weighted(recipe), retriever: recipe.reward.retriever };
    const judged = readsTriples(recipe) ? undefined : dataset.folder;
    const rewards = await openRewards({ ...choice, dataset: judged, split: trainSplit }, search, { signal, progress });
    try {
      const { file, summary, seconds } = await rewardCandidates({
        queries: (await data.training(false))(),
        goldTexts: await goldTexts(context),
        candidates: outputOf(context, 'candidates', 'candidates')!,
        answers: outputOf(context, 'answers', 'answers'),
        encoder,
        expansionRole: settings.expansionRole,
        mixture: rewards.mixture,
        out: join(folder, 'rewards.jsonl'),
        signal,
        progress,
      });
      const { queries, dropped } = summary;
      const leftOut = leftOutOf(queries + sumOf(dropped), countsOf('queries', dropped));
      return { outputs: { rewards: file }, result: { ...summary, rewardSeconds: seconds, leftOut } };
    } finally {
      await rewards.close();
      await search.close();
    }
  },
};

/** The rewards with a weight other than 0, as `NAME=WEIGHT`. */
function weighted({ reward }: Recipe): string[] {
  return Object.entries(reward.weights).flatMap(([name, weight]) => (weight === 0 ? [] : [`${name}=${weight}`]));
}

/**
 * The rewards of a recipe with a weight other than 0.
 * @param options.loadsCode whether custom modules are loaded, which runs their code
 * @throws UsageError, DataError
 */
export function namedRewards(recipe: Recipe, { loadsCode }: { loadsCode: boolean }): Promise<NamedReward[]> {
  const { enabled: isAnswered } = recipe.answers;
  return checkRewards(weighted(recipe), { isJudged: !readsTriples(recipe), isAnswered, loadsCode });
}

/** The custom modules of a recipe, whose code a run executes. */
export function codeIn(recipe: Recipe): string[] {
  return modulesAmong(weighted(recipe));
}
