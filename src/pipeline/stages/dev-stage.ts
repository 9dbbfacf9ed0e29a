import { join } from 'node:path';
import { type ArmTopics, EVALUATION_FORMAT } from '../../evaluate/index.ts';
import { displayName, MEASURES_FORMAT } from '../../measures/index.ts';
import { CorpusSearch, SEARCH_FORMATS } from '../../retrieve/index.ts';
import { writeDurably } from '../../system/index.ts';
import { isTuned } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { type ArmName, armOf, armsOf, writersOf } from '../run/arms.ts';
import { comparedEncoders, untrainedEncoderOf } from '../run/encoders.ts';
import { encodingSeconds, many, NUMBER_BYTES, written } from '../run/estimates.ts';
import type { RoundResult } from '../run/round-result.ts';
import type { AlignmentContext, AlignmentStage } from '../run/stage.ts';
import { isServed } from './arm-writers.ts';
import { devTopicsInputs, expandedDevTopics, loadArmTopics } from './expansion-stages.ts';
import { judgeAllArms } from './judgements.ts';

/** With several rounds: measures all arms on the dev queries. The test queries wait for the best round. */
export const devStage: AlignmentStage = {
  name: 'dev',
  version: 1,
  wanted: ({ rounds }) => rounds > 1,
  settings(context) {
    const { alphas, armAlphas, measure, depth, keepSelf } = context.recipe.evaluation;
    const { similarity, expansionRole } = untrainedEncoderOf(context).retrieval;
    return {
      formats: { measures: MEASURES_FORMAT, evaluation: EVALUATION_FORMAT, ...SEARCH_FORMATS },
      ...{ alphas, armAlphas, measure, depth, keepSelf, similarity, expansionRole },
    };
  },
  inputs(context) {
    const { recipe, data } = context;
    return {
      ...comparedEncoders(context),
      corpus: data.judged.hashes.corpus,
      expansions: Object.fromEntries(writersOf(recipe).map((arm) => [arm, devTopicsInputs(context, arm)])),
    };
  },
  estimate(recipe, { counts: { corpus, dev }, encoder, rates }) {
    const writers = writersOf(recipe).length;
    const rate = isServed(recipe) ? rates.generation : rates.embedded;
    const texts = dev * recipe.expansion.samples * writers;
    const cost = written(`${many(dev, 'dev query')}, ${many(armsOf(recipe).length, 'arm')}`, {
      ...{ texts, limit: recipe.expansion.maxTokens, rate },
    });
    const encoders = new Set(armsOf(recipe).map((name) => armOf(name).encoder)).size;
    const bytes = cost.bytes + encoders * corpus * encoder.dimensions * NUMBER_BYTES;
    return { ...cost, bytes, seconds: cost.seconds + encoders * encodingSeconds(corpus, encoder) };
  },
  async run(context, folder) {
    const { recipe, data, models, options } = context;
    const { signal, progress } = options;
    const arms = await loadDevArms(context, folder);
    const { retrieval, open } = untrainedEncoderOf(context);
    const task = progress.task('measuring arms on dev', arms.length, 'arms');
    const { store } = models;
    const search = new CorpusSearch(data.judged.dataset, retrieval, { signal, progress, store, encoder: await open() });
    try {
      const { scored } = await judgeAllArms(context, search, arms, {
        alphas: recipe.evaluation.armAlphas,
        onArm: () => task.advance(),
      });
      const measure = displayName(recipe.evaluation.measure);
      const values = scored.map(({ name, alpha, measures }) => {
        return [name, { ...(alpha !== undefined && { alpha }), value: measures[measure] ?? 0 }] as const;
      });
      const result = resultOf(recipe, measure, Object.fromEntries(values));
      const file = join(folder, 'dev.json');
      await writeDurably(file, `${JSON.stringify(result, null, 1)}\n`);
      return { outputs: { dev: file }, result };
    } finally {
      task.done();
      await search.close();
    }
  },
};

/** The rounds are compared by what they end with: expansions of the aligned LLM, searched by the trained retriever if there is one. */
function resultOf(recipe: Recipe, measure: string, arms: RoundResult['arms']): RoundResult {
  const chosenBy: ArmName = recipe.retriever.enabled ? 'retriever+aligned' : 'aligned';
  return { measure, arms, chosenBy, value: arms[chosenBy]!.value };
}

/** The dev queries of each arm. Values are measured on the queries that alpha is tuned on. */
async function loadDevArms(context: AlignmentContext, folder: string): Promise<ArmTopics[]> {
  const raw = await loadArmTopics(context, 'dev');
  const written = new Map<string, typeof raw>();
  for (const writer of writersOf(context.recipe)) {
    written.set(writer, await expandedDevTopics(context, writer, folder));
  }
  return armsOf(context.recipe).map((name) => {
    const { writer } = armOf(name);
    const topics = writer === undefined ? raw : written.get(writer)!;
    return { name, dev: writer !== undefined && isTuned(context.recipe) ? topics : undefined, test: [topics] };
  });
}
