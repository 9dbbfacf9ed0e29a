import { UsageError } from '../system/index.ts';
import { type EditedRecipe, editRecipe as editBy, type RecipeEdit } from './recipe/edit-recipe.ts';
import { parseRecipe as parseBy, readRecipe as readBy } from './recipe/recipe.ts';
import { type Recipe, recipeSchema } from './recipe/recipe-schema.ts';
import type { AlignmentStage } from './run/stage.ts';
import { answersStage } from './stages/answers-stage.ts';
import { candidatesStage } from './stages/candidates-stage.ts';
import { devStage } from './stages/dev-stage.ts';
import { evaluateStage } from './stages/evaluation-stage.ts';
import { expansionStages } from './stages/expansion-stages.ts';
import { mergeStage } from './stages/merge-stage.ts';
import { pairsStage } from './stages/pairs-stage.ts';
import { retrieverStages } from './stages/retriever-stages.ts';
import { rewardStage } from './stages/reward-stage.ts';
import { dpoStage, sftStage } from './stages/training-stages.ts';

/** All stages, in the order in which they run; the recipe's `order` chooses the place of the retriever's. A new stage is a file in `stages` and an entry in this list. */
export const ALIGNMENT_STAGES: readonly AlignmentStage[] = [
  mergeStage,
  ...retrieverStages('retriever-first'),
  ...[candidatesStage, answersStage, rewardStage, pairsStage, sftStage, dpoStage],
  ...retrieverStages('generator-first'),
  devStage,
  ...expansionStages,
  evaluateStage,
];

/** Their names. */
export const STAGES: readonly string[] = [...new Set(ALIGNMENT_STAGES.map(({ name }) => name))];

/**
 * Reads a recipe: a YAML file, or the name of a packaged one (`demo`, `paper`, `smoke`).
 *
 * @param overrides each `key.key=value`, with the value in YAML; they replace values of the file
 * @param stages the stages whose sections the recipe may have; default: those of an alignment
 * @throws DataError naming file, line and key; UsageError for an invalid override
 */
export function readRecipe(
  fileOrName: string,
  overrides: readonly string[] = [],
  stages: readonly AlignmentStage[] = ALIGNMENT_STAGES,
): Promise<Recipe> {
  return readBy(fileOrName, overrides, schemaOf(stages));
}

/** Like {@link readRecipe}, for a text. @param file name for errors */
export function parseRecipe(
  text: string,
  file: string,
  overrides: readonly string[] = [],
  stages: readonly AlignmentStage[] = ALIGNMENT_STAGES,
): Recipe {
  return parseBy(text, file, overrides, schemaOf(stages));
}

/** Applies edits to the text of a recipe, and collects all faults. @throws DataError if it is no YAML mapping */
export function editRecipe(text: string, file: string, edits: readonly RecipeEdit[]): EditedRecipe {
  return editBy(text, file, edits, schemaOf(ALIGNMENT_STAGES));
}

/** The schema of a recipe, with the sections that stages add. @throws UsageError if a section exists twice */
function schemaOf(stages: readonly AlignmentStage[]): typeof recipeSchema {
  let schema = recipeSchema;
  for (const { name, sections } of stages) {
    if (sections === undefined) continue;
    const twice = Object.keys(sections).find((key) => Object.hasOwn(schema.shape, key));
    if (twice !== undefined) {
      throw new UsageError(`stage ${name} adds the section ${twice}, which already exists`, {
        fix: 'Rename the section.',
      });
    }
    schema = schema.extend(sections) as typeof recipeSchema;
  }
  return schema;
}
