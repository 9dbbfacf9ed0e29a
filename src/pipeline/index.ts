export { type AlignOptions, type AlignResult, align } from './align.ts';
export { ALIGNMENT_STAGES, editRecipe, parseRecipe, readRecipe, STAGES } from './alignment-stages.ts';
export { type DemoOptions, type DemoResult, type DemoSettings, type NextSearch, runDemo } from './demo/demo.ts';
export { diskChecks } from './plan/disk-space.ts';
export { type AlignmentPlan, type PlannedStage, planAlignment } from './plan/plan.ts';
export { embeddedTokensPerSecond } from './plan/planned-rates.ts';
export type { EditedRecipe, RecipeEdit, RecipeFault } from './recipe/edit-recipe.ts';
export { PACKAGED_RECIPES, packagedRecipe } from './recipe/recipe.ts';
export { type Recipe, recipeSchema } from './recipe/recipe-schema.ts';
export { type RecipeServer, serversOf } from './recipe/recipe-servers.ts';
export { type EncoderSource, encoderOf } from './run/encoders.ts';
export { ENGINES, type Engine } from './run/engines.ts';
export { type Estimate, encodingSeconds, finite, type Known, type PlannedFile } from './run/estimates.ts';
export { type ModelFacts, modelFacts } from './run/model-facts.ts';
export { GGUF_CACHE } from './run/open-writer.ts';
export { check, type RecipeCheck } from './run/recipe-checks.ts';
export { type FinishedStage, RunFolder, readRecord, type StageRecord } from './run/run-folder.ts';
export {
  JUDGING_FOLDER,
  listRuns,
  PROCESS_MARK,
  type RunSummary,
  type StageSummary,
  summarizeRun,
} from './run/run-list.ts';
export {
  type AlignmentContext,
  type AlignmentStage,
  hashOf,
  outputOf,
  type StageOutcome,
  sectionOf,
} from './run/stage.ts';
export { codeIn } from './stages/reward-stage.ts';
export {
  armName,
  type RetrieverName,
  runTrial,
  TRIAL_ALPHAS,
  type TrialOptions,
  type TrialResult,
  type TrialSettings,
} from './trial/trial.ts';
