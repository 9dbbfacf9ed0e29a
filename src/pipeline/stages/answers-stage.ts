import { join } from 'node:path';
import { writeAnswers } from '../../generate/index.ts';
import { leftOutOf } from '../../report/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { trainingQueriesKey } from '../run/alignment-inputs.ts';
import { copiesToMake, type Known, many, written } from '../run/estimates.ts';
import { runtimeCopies } from '../run/model-facts.ts';
import { openWriter, writerCheck, writerKey } from '../run/open-writer.ts';
import { promptCheck } from '../run/prompt-checks.ts';
import type { AlignmentContext, AlignmentStage } from '../run/stage.ts';

/** Lets an LLM answer each training query from its gold document. */
export const answersStage: AlignmentStage = {
  name: 'answers',
  version: 1,
  rounds: 'same',
  wanted: ({ answers }) => answers.enabled,
  settings({ recipe, answerPrompt }) {
    const { enabled: _wanted, prompt: _named, seed = recipe.seed, ...sampling } = recipe.answers;
    return { prompt: answerPrompt.text, ...sampling, seed };
  },
  inputs({ recipe, data, models }) {
    const { writer, model } = answeringWriter({ recipe, models });
    return {
      generator: writerKey(writer, model, recipe.answers.maxTokens),
      queries: trainingQueriesKey(data, recipe),
    };
  },
  checks: ({ answers }) => [promptCheck('answers.prompt', answers.prompt, { readsDocument: true })],
  modelChecks({ recipe, models, options }) {
    const { writer, model } = answeringWriter({ recipe, models });
    return [writerCheck('answerGenerator', writer, model, recipe.answers.maxTokens, options)];
  },
  estimate(recipe, known) {
    const { train } = known.counts;
    const work = { texts: train, limit: recipe.answers.maxTokens, rate: rateOf(recipe, known) };
    return written(many(train, 'query'), work);
  },
  async files({ generator: { servers, gpu }, answerGenerator: other }, { generator, answerGenerator }) {
    if (other === undefined) return servers.length > 0 ? [] : copiesToMake(await runtimeCopies(generator, gpu));
    return answerGenerator === undefined ? [] : copiesToMake(await runtimeCopies(answerGenerator, other.gpu));
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
        ...leftOutOf(queries, { 'queries whose answer was empty twice': skipped }),
        // Answers from before an interruption do not record this.
        ...leftOutOf(queries - reused, {
          [`documents truncated to fit the context${reused > 0 ? ' (since the interruption)' : ''}`]: shortened,
        }),
      ];
      return { outputs: { answers: file }, result: { generator: generator.id, ...result, leftOut } };
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

/** Tokens per second of the LLM that writes the answers. */
function rateOf(
  { generator, answerGenerator: other }: Recipe,
  { rates, generator: own, answerGenerator }: Known,
): number {
  const { servers } = other ?? generator;
  if (servers.length > 0) return rates.generation;
  if (other === undefined) return rates.embedded;
  return (rates.embedded * own.parameters) / (answerGenerator?.parameters ?? Number.NaN);
}
