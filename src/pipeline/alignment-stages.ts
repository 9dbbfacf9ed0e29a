import type { Recipe } from './recipe/recipe-schema.ts';
import type { AlignmentStage } from './run/stages.ts';
import { answersStage, candidatesStage } from './stages/candidate-stages.ts';
import { evaluateStage } from './stages/evaluation-stage.ts';
import { expansionStages } from './stages/expansion-stages.ts';
import { pairsStage, rewardStage } from './stages/preference-stages.ts';
import { dpoStage, sftStage } from './stages/training-stages.ts';

const ALIGNMENT_STAGES: readonly AlignmentStage[] = [
  ...[candidatesStage, answersStage, rewardStage, pairsStage, sftStage, dpoStage],
  ...expansionStages,
  evaluateStage,
];

/** The stages that a recipe has, in order. */
export function stagesOf(recipe: Recipe): AlignmentStage[] {
  return ALIGNMENT_STAGES.filter(({ wanted }) => wanted(recipe));
}
