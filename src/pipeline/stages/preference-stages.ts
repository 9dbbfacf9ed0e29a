import { join } from 'node:path';
import { readGoldTexts } from '../../data/index.ts';
import { countsOf, type LeftOut, leftOutOf, sumOf } from '../../report/index.ts';
import { CorpusSearch } from '../../retrieve/index.ts';
import {
  buildPairs,
  checkRewards,
  defaultPairSettings,
  type NamedReward,
  openRewards,
  type RewardAudit,
  rewardCandidates,
} from '../../reward/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { trainingQueriesKey } from '../run/alignment-inputs.ts';
import { type AlignmentContext, type AlignmentStage, hashOf, outputOf } from '../run/stages.ts';

/** Rewards that count, as `NAME=WEIGHT`; a weight of 0 leaves one out. */
function weighted({ reward }: Recipe): string[] {
  return Object.entries(reward.weights).flatMap(([name, weight]) => (weight === 0 ? [] : [`${name}=${weight}`]));
}

/** Looks at the rewards of a recipe before anything is written for them. @throws UsageError, DataError */
export function checkedRewards(recipe: Recipe): Promise<NamedReward[]> {
  return checkRewards(weighted(recipe), { isJudged: !readsTriples(recipe), isAnswered: recipe.answers.enabled });
}

function readsTriples({ data }: Recipe): boolean {
  return data.kind === 'beir' && data.triples !== undefined;
}

/** Texts of gold documents, where the queries do not bring theirs along (those of triples do). */
async function goldTexts({ data, recipe, options }: AlignmentContext) {
  if (readsTriples(recipe)) return undefined;
  return readGoldTexts(data.dataset, (await data.training(false))(), options.signal);
}

/** Rewards every candidate. */
export const rewardStage: AlignmentStage = {
  name: 'reward',
  wanted: () => true,
  settings(context) {
    const { recipe, models, data, rewards } = context;
    const { encoder, retrieval } = models;
    const isSearched = rewards.some(({ kind }) => kind === 'search');
    const own = rewards.filter(({ kind }) => kind === 'own').map(({ name, fingerprint }) => [name, fingerprint]);
    const { retriever, alpha } = recipe.reward;
    const { similarity, k1, b, queryRepeats, keepSelf } = retrieval;
    return {
      rewards: rewards.map(({ name, weight }) => `${name}=${weight}`).sort(),
      modules: own.length > 0 ? Object.fromEntries(own) : undefined,
      encoder: encoder.fingerprint,
      expansionRole: retrieval.expansionRole,
      queries: trainingQueriesKey(data, recipe),
      candidates: hashOf(context, 'candidates', 'candidates'),
      answers: hashOf(context, 'answers', 'answers'),
      search: isSearched ? { retriever, alpha, similarity, k1, b, queryRepeats, keepSelf } : undefined,
    };
  },
  async run(context, folder) {
    const { recipe, data, models, options } = context;
    const { signal, progress } = options;
    const { dataset, trainSplit } = data;
    const settings = { ...models.retrieval, alpha: recipe.reward.alpha };
    const { encoder, store } = models;
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
        encoder: models.encoder,
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

/** Chooses and audits the preference pairs. */
export const pairsStage: AlignmentStage = {
  name: 'pairs',
  wanted: () => true,
  settings(context) {
    const { recipe, data, prompt } = context;
    return {
      ...pairSettingsOf(recipe),
      prompt: prompt.text,
      queries: trainingQueriesKey(data, recipe),
      candidates: hashOf(context, 'candidates', 'candidates'),
      answers: hashOf(context, 'answers', 'answers'),
      rewards: hashOf(context, 'reward', 'rewards'),
    };
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

/** Queries without rewards stand in the result of the stage that gave none. */
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
