import { asRecorded } from '../files/index.ts';
import { contentKey } from '../system/index.ts';
import { type AlignmentContext, keyedSettings, stagesOf } from './run/stage.ts';

/**
 * Hashes everything that determines a recipe's results. It serves to freeze a recipe before the test queries are seen.
 * The hash covers the settings of the stages, the versions of their code, and the content of data, models, prompts and
 * custom rewards. It does not cover the recipe's name, the location of files, and settings that only affect computation
 * (threads, sequences, concurrency, memory, saving interval, rates). It consists of the stages' own keys before any
 * stage has run.
 */
export function recipeHash(context: AlignmentContext): string {
  const unrun = { ...context, before: undefined, done: new Map() };
  const stages = stagesOf(unrun).map((stage) => [stage.name, asRecorded(keyedSettings(stage, unrun))]);
  const { rounds } = context.recipe;
  return contentKey(rounds === 1 ? stages : [...stages, ['rounds', rounds]]);
}
