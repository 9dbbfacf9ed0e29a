import type { ResolvedModel } from '../../models/index.ts';
import { type AlignmentContext, hashOf, outputOf, roundOf } from './stage.ts';

/** The stage that merges the adapter of the round before into its LLM. */
export const MERGE_STAGE = 'merge';

/**
 * The LLM that a round starts from: it writes the candidates and is trained. In the first round it is the recipe's, later the
 * aligned LLM of the round before.
 */
export function generatorOf(context: AlignmentContext): ResolvedModel {
  const { recipe, models, before } = context;
  if (before === undefined) return models.generator;
  // A fully trained model is complete; an adapter is merged first.
  const [from, stage] = recipe.dpo.full ? [before, 'dpo'] : [context, MERGE_STAGE];
  return {
    name: `${models.generator.name}, aligned in round ${roundOf(before)}`,
    path: outputOf(from, stage, 'model') ?? '',
    format: 'gguf',
    fingerprint: hashOf(from, stage, 'model') ?? '',
    source: stage,
  };
}
