import type { Recipe } from '../recipe/recipe-schema.ts';
import { isServer } from '../run/alignment-inputs.ts';
import type { Engine, StageName } from '../run/stages.ts';
import { type ModelCopy, type ModelFacts, runtimeCopies } from './model-facts.ts';

/** A file that the run puts on the disk beside what its stages leave: a model, or a copy of one. */
export interface PlannedFile {
  file: string;
  /** `at most`: whether it stands in the cache already is found out only when it is needed. */
  state: 'ready' | 'to fetch' | 'to make' | 'at most';
  /** Null where it is not known. */
  bytes: number | null;
}

/** The models of a recipe. */
export interface RecipeModels {
  generator: ModelFacts;
  answerGenerator: ModelFacts | undefined;
  encoder: ModelFacts;
  judges: readonly ModelFacts[];
}

/** Bytes of a number that is not trained, by how it is kept. */
const STORAGE_BYTES: Readonly<Record<Recipe['dpo']['storage'], number>> = { f32: 4, f16: 2, int8: 1, int4: 0.64 };

/** The models that are fetched, and the copies that runtime, engine and encoder work from. */
export async function plannedFiles(
  recipe: Recipe,
  models: RecipeModels,
  { engine, isToDo }: { engine: Engine; isToDo: (stage: StageName) => boolean },
): Promise<PlannedFile[]> {
  return [
    ...downloads(models),
    ...(await copiesOfWriters(recipe, models, isToDo)).map(
      ({ copy, isThere, bytes }): PlannedFile => ({
        ...{ file: copy, state: isThere ? 'ready' : 'to make', bytes: finite(bytes) },
      }),
    ),
    ...(engine === 'local' ? frozenWeights(recipe, models, isToDo) : []),
    ...encoderWeights(recipe, models, isToDo),
  ];
}

/** A number of a plan; null where it is not known. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function downloads({ generator, answerGenerator, encoder, judges }: RecipeModels): PlannedFile[] {
  const all = [generator, ...(answerGenerator === undefined ? [] : [answerGenerator]), encoder, ...judges];
  return all
    .filter(({ name, model }) => model === undefined && !isServer(name))
    .map(({ name, download }) => ({ file: name, state: 'to fetch', bytes: finite(download) }));
}

async function copiesOfWriters(
  { generator: writer, answerGenerator: other }: Recipe,
  { generator, answerGenerator }: RecipeModels,
  isToDo: (stage: StageName) => boolean,
): Promise<ModelCopy[]> {
  const arms: StageName[] = ['expand-zeroShot', 'expand-sft', 'expand-aligned'];
  const writing: StageName[] = other === undefined ? ['candidates', 'answers'] : ['candidates'];
  const isRun = [...arms, ...(writer.servers.length === 0 ? writing : [])].some(isToDo);
  return [
    ...(isRun ? await runtimeCopies(generator, writer.gpu) : []),
    ...(answerGenerator !== undefined && isToDo('answers')
      ? await runtimeCopies(answerGenerator, other?.gpu ?? false)
      : []),
  ];
}

/** What the training engine maps into memory: SFT and DPO share it where they keep it alike. */
function frozenWeights(
  recipe: Recipe,
  { generator }: RecipeModels,
  isToDo: (stage: StageName) => boolean,
): PlannedFile[] {
  const trainings = (['sft', 'dpo'] as const).filter((name) => isToDo(name) && !recipe[name].full);
  const storages = new Set(trainings.map((name) => recipe[name].storage));
  return [...storages].map((storage) => ({
    file: `${generator.name} as the training engine reads it, in ${storage}`,
    state: 'at most',
    bytes: finite(STORAGE_BYTES[storage] * generator.parameters),
  }));
}

function encoderWeights(
  recipe: Recipe,
  { encoder, judges }: RecipeModels,
  isToDo: (stage: StageName) => boolean,
): PlannedFile[] {
  const used = [...(isToDo('reward') || isToDo('evaluate') ? [encoder] : []), ...(isToDo('evaluate') ? judges : [])];
  const bytes = ({ precision }: Recipe['encoder']) => (precision === 'int8' ? 1 : 4);
  return used
    .filter(({ name }) => !isServer(name))
    .map(({ name, parameters }) => ({
      ...{ file: `${name} as the encoder reads it`, state: 'at most' },
      bytes: finite(parameters * (name === recipe.encoder.model ? bytes(recipe.encoder) : 4)),
    }));
}
