import { join } from 'node:path';
import { sampleCandidates, WRITERS_FORMAT, writeAnswers } from '../../generate/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { leftOutOf } from '../../report/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { trainingQueriesKey } from '../run/alignment-inputs.ts';
import { contextOf, openWriter } from '../run/open-writer.ts';
import type { AlignmentContext, AlignmentStage } from '../run/stages.ts';

/**
 * What names the writer in a key. A server is known by its model's name alone, or by its address where none is given: nobody can
 * tell its weights and its context.
 */
function writerKey(
  writer: Pick<NonNullable<Recipe['answerGenerator']>, 'servers' | 'serverModel' | 'model' | 'context' | 'gpu'>,
  model: ResolvedModel | undefined,
  maxTokens: number,
): Record<string, unknown> {
  const writers = WRITERS_FORMAT;
  if (writer.servers.length > 0) return { writers, served: writer.serverModel ?? writer.model ?? writer.servers };
  return { writers, model: model?.fingerprint, context: contextOf(writer, maxTokens), gpu: writer.gpu || undefined };
}

/** Samples many expansions of each training query. */
export const candidatesStage: AlignmentStage = {
  name: 'candidates',
  wanted: () => true,
  settings({ recipe, data, models, prompt }) {
    const { queries: _limit, sampleSeed: _sample, seed = recipe.seed, ...sampling } = recipe.candidates;
    return {
      generator: writerKey(recipe.generator, models.generator, sampling.maxTokens),
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
      const leftOut = leftOutOf(result.candidates, {
        'candidates cut at the token limit': result.cutByLength,
        'candidates cut where the context was full': result.cutByContext,
        'candidates without text': result.empty,
        'candidates without text, since the LLM was still thinking': result.unfinishedThought,
        'candidates without text, since the prompt is longer than the context': result.promptTooLong,
      });
      return { outputs: { candidates: file }, result: { generator: generator.id, ...result, leftOut } };
    } finally {
      await generator.close();
    }
  },
};

function answeringWriter({ recipe, models }: Pick<AlignmentContext, 'recipe' | 'models'>) {
  const other = recipe.answerGenerator;
  if (other === undefined) return { writer: recipe.generator, model: models.generator };
  return { writer: other, model: models.answerGenerator };
}

/** Lets an LLM answer each training query while it reads the gold document. */
export const answersStage: AlignmentStage = {
  name: 'answers',
  wanted: ({ answers }) => answers.enabled,
  settings({ recipe, data, models, answerPrompt }) {
    const { enabled: _wanted, prompt: _named, seed = recipe.seed, ...sampling } = recipe.answers;
    const { writer, model } = answeringWriter({ recipe, models });
    return {
      generator: writerKey(writer, model, sampling.maxTokens),
      prompt: answerPrompt.text,
      queries: trainingQueriesKey(data, recipe),
      ...{ ...sampling, seed },
    };
  },
  async run({ recipe, data, models, answerPrompt, options }, folder) {
    const { temperature, topP, topK, maxTokens, seed = recipe.seed } = recipe.answers;
    const { writer, model } = answeringWriter({ recipe, models });
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
      const { queries, reused, skipped, shortened } = result;
      const leftOut = [
        ...leftOutOf(queries, { 'queries whose answer is empty, asked for twice': skipped }),
        // Answers from before an interruption do not say it.
        ...leftOutOf(queries - reused, {
          [`documents cut at their end to fit the context${reused > 0 ? ', since the interruption' : ''}`]: shortened,
        }),
      ];
      return { outputs: { answers: file }, result: { generator: generator.id, ...result, leftOut } };
    } finally {
      await generator.close();
    }
  },
};
