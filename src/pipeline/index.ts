export { type AlignOptions, type AlignResult, align } from './align.ts';
export { type DemoOptions, type DemoResult, type DemoSettings, type NextSearch, runDemo } from './demo/demo.ts';
export { type AlignmentPlan, type PlannedStage, planAlignment } from './plan/plan.ts';
export { parseRecipe, readRecipe } from './recipe/recipe.ts';
export { type Recipe, recipeSchema } from './recipe/recipe-schema.ts';
export { GGUF_CACHE } from './run/open-writer.ts';
export { type FinishedStage, RunFolder, type StageRecord } from './run/run-folder.ts';
export { ENGINES, type Engine, STAGES, type StageName } from './run/stages.ts';
