import { answersStage, candidatesStage } from './candidate-stages.ts';
import { evaluateStage } from './evaluation-stage.ts';
import { expansionStages } from './expansion-stages.ts';
import { pairsStage, rewardStage } from './preference-stages.ts';
import type { Recipe } from './recipe/recipe-schema.ts';
import type { AlignmentStage } from './run/stages.ts';
import { dpoStage, sftStage } from './training-stages.ts';

const ALIGNMENT_STAGES: readonly AlignmentStage[] = [
  ...[candidatesStage, answersStage, rewardStage, pairsStage, sftStage, dpoStage],
  ...expansionStages,
  evaluateStage,
];

/** The stages that a recipe has, in order. */
export function stagesOf(recipe: Recipe): AlignmentStage[] {
  return ALIGNMENT_STAGES.filter(({ wanted }) => wanted(recipe));
}
