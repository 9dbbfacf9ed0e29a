import type { Recipe } from '../recipe/recipe-schema.ts';
import type { Engine } from '../run/engines.ts';
import { finite, type PlannedFile, type RecipeModels } from '../run/estimates.ts';
import { type AlignmentStage, stagesOf } from '../run/stage.ts';

/** The models to download, and the copies that unfinished stages work from, each once. */
export async function plannedFiles(
  recipe: Recipe,
  models: RecipeModels,
  { stages, engine, isToDo }: { stages: readonly AlignmentStage[]; engine: Engine; isToDo: (stage: string) => boolean },
): Promise<PlannedFile[]> {
  const files = downloads(models);
  for (const stage of stagesOf({ stages, recipe })) {
    if (isToDo(stage.name)) files.push(...((await stage.files?.(recipe, models, engine)) ?? []));
  }
  return [...new Map(files.map((one) => [one.file, one])).values()];
}

function downloads({ generator, answerGenerator, encoder, judges }: RecipeModels): PlannedFile[] {
  const all = [generator, ...(answerGenerator === undefined ? [] : [answerGenerator]), encoder, ...judges];
  return all
    .filter(({ model, isServer }) => model === undefined && !isServer)
    .map(({ name, download }) => ({ file: name, state: 'to download', bytes: finite(download) }));
}
