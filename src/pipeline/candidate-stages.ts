import { join } from 'node:path';
import { sampleCandidates, writeAnswers } from '../generate/index.ts';
import type { ResolvedModel } from '../models/index.ts';
import { trainingQueriesKey } from './alignment-inputs.ts';
import { openWriter } from './open-writer.ts';
import type { Recipe } from './recipe-schema.ts';
import type { AlignmentStage } from './stages.ts';

/** What names the writer in a key. A server is known by its model's name alone: nobody can tell its weights. */
export function writerKey(
  { servers, serverModel, model: name }: Pick<Recipe['generator'], 'servers' | 'serverModel' | 'model'>,
  model: ResolvedModel | undefined,
): Record<string, unknown> {
  return servers.length > 0 ? { served: serverModel ?? name } : { model: model?.fingerprint };
}

/** Samples many expansions of each training query. */
export const candidatesStage: AlignmentStage = {
  name: 'candidates',
  wanted: () => true,
  settings({ recipe, data, models, prompt }) {
    const { queries: _limit, sampleSeed: _sample, seed = recipe.seed, ...sampling } = recipe.candidates;
    return {
      generator: writerKey(recipe.generator, models.generator),
      prompt: prompt.text,
      queries: trainingQueriesKey(data, recipe),
      ...{ ...sampling, seed },
    };
  },
  async run({ recipe, data, models, prompt, options }, folder) {
    const { samples, temperatures, topP, topK, maxTokens, seed = recipe.seed } = recipe.candidates;
    const generator = await openWriter(recipe.generator, models.generator, maxTokens, options);
    try {
      const { file, manifest, ...result } = await sampleCandidates({
        queries: await data.training(false),
        ...{ generator, prompt, temperatures, samples, seed },
        sampling: { topP, topK, maxTokens },
        out: join(folder, 'candidates.jsonl'),
        signal: options.signal,
        progress: options.progress,
      });
      return { outputs: { candidates: file }, result: { generator: generator.id, ...result } };
    } finally {
      await generator.close();
    }
  },
};

/** Lets an LLM answer each training query while it reads the gold document. */
export const answersStage: AlignmentStage = {
  name: 'answers',
  wanted: ({ answers }) => answers.enabled,
  settings({ recipe, data, models, answerPrompt }) {
    const { enabled: _wanted, prompt: _named, seed = recipe.seed, ...sampling } = recipe.answers;
    const { answerGenerator: other, generator } = recipe;
    return {
      generator:
        other === undefined ? writerKey(generator, models.generator) : writerKey(other, models.answerGenerator),
      prompt: answerPrompt.text,
      queries: trainingQueriesKey(data, recipe),
      ...{ ...sampling, seed },
    };
  },
  async run({ recipe, data, models, answerPrompt, options }, folder) {
    const { temperature, topP, topK, maxTokens, seed = recipe.seed } = recipe.answers;
    const other = recipe.answerGenerator;
    const writer = other ?? recipe.generator;
    const model = other === undefined ? models.generator : models.answerGenerator;
    const generator = await openWriter(writer, model, maxTokens, options);
    try {
      const { file, manifest, ...result } = await writeAnswers({
        queries: await data.training(true),
        ...{ generator, prompt: answerPrompt, seed },
        sampling: { temperature, topP, topK, maxTokens },
        out: join(folder, 'answers.jsonl'),
        signal: options.signal,
        progress: options.progress,
      });
      return { outputs: { answers: file }, result: { generator: generator.id, ...result } };
    } finally {
      await generator.close();
    }
  },
};
