import { isServerAddress } from '../servers/index.ts';
import { UsageError } from '../system/index.ts';
import type { Recipe } from './recipe/recipe-schema.ts';
import { check, passChecks, type RecipeCheck } from './run/recipe-checks.ts';
import {
  type AlignmentContext,
  type AlignmentStage,
  type CheckOptions,
  type MachineFacts,
  stagesOf,
} from './run/stage.ts';

/** Runs all checks that need neither data nor models. @throws UsageError naming the key, DataError for a file that is not there */
export async function checkRecipe(
  recipe: Recipe,
  stages: readonly AlignmentStage[],
  options: CheckOptions = {},
): Promise<void> {
  await passChecks(settingsChecks(recipe, stages, options));
}

/** What can be told from the recipe alone; files that it names are read. */
export function settingsChecks(
  recipe: Recipe,
  stages: readonly AlignmentStage[],
  options: CheckOptions = {},
): RecipeCheck[] {
  return [
    ...stagesOf({ stages, recipe }).flatMap((stage) => stage.checks?.(recipe, options) ?? []),
    check('encoder', () => checkEncoder(recipe)),
    ...(options.offline === true ? [check('servers', () => checkOffline(recipe))] : []),
  ];
}

/** What only this machine can tell of the stages that are still to be done. */
export function machineChecks(
  { recipe, stages, done }: Pick<AlignmentContext, 'recipe' | 'stages' | 'done'>,
  { only, ...facts }: Omit<MachineFacts, 'isElsewhere'> & { only?: string | undefined },
): RecipeCheck[] {
  const all = stagesOf({ stages, recipe })
    .filter(({ name }) => !done.has(name))
    .flatMap((stage) => {
      const isElsewhere = only !== undefined && only !== stage.name;
      return stage.machineChecks?.(recipe, { ...facts, isElsewhere }) ?? [];
    });
  return [...new Map(all.map((one) => [one.input, one])).values()];
}

/** What the data, and on demand the models, tell of the stages that are still to be done here. */
export function contentChecks(
  context: AlignmentContext,
  { only, loadsModels = false }: { only?: string | undefined; loadsModels?: boolean | undefined },
): RecipeCheck[] {
  return stagesOf(context)
    .filter(({ name }) => !context.done.has(name) && (only === undefined || only === name))
    .flatMap((stage) => [
      ...(stage.dataChecks?.(context) ?? []),
      ...(loadsModels ? (stage.modelChecks?.(context) ?? []) : []),
    ]);
}

function checkEncoder({ encoder }: Recipe): string {
  if (!isServerAddress(encoder.model) || encoder.encoderModel !== undefined) return encoder.model;
  throw new UsageError('an embedding server needs the name of its model', {
    fix: 'Set encoder.encoderModel, as the server lists it under /models.',
  });
}

function checkOffline({ generator, answerGenerator }: Recipe): string {
  const count = generator.servers.length + (answerGenerator?.servers.length ?? 0);
  if (count === 0) return 'none';
  throw new UsageError('the recipe names servers, and --offline forbids connections', {
    fix: 'Leave --offline, or the servers, away.',
  });
}
