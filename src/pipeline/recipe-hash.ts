import { asRecorded } from '../files/index.ts';
import { contentKey } from '../system/index.ts';
import { type AlignmentContext, keyedSettings, stagesOf } from './run/stage.ts';

/**
 * Names a recipe by all that decides its results, for a recipe that is frozen before the test queries are seen: the settings of its
 * stages and the versions of their code, with data, models, prompts and own rewards by their content. Its name, where its files lie,
 * and what only the computing is about (threads, sequences, concurrency, memory, how often is saved, rates) are no part of it. It is
 * what the stages' own keys are made of, before any of them is run.
 */
export function recipeHash(context: AlignmentContext): string {
  const unrun = { ...context, done: new Map() };
  return contentKey(stagesOf(context).map((stage) => [stage.name, asRecorded(keyedSettings(stage, unrun))]));
}
