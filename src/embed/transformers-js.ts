import { join } from 'node:path';
import { openCheckpoint, type ResolvedModel, readModelJson, writeFolder } from '../models/index.ts';
import { exportStandardEncoder } from '../nn/index.ts';
import { isThere, ModelError, makeFolder } from '../system/index.ts';
import { writeEncoderModules, writeEncoderSettings, writeModelJson } from './encoder-folder.ts';
import { type EncoderRecipe, readEncoderRecipes } from './local-encoder.ts';

export interface TransformersJsOptions {
  signal?: AbortSignal | undefined;
}

/** One folder that transformers.js loads. */
export interface TransformersJsFolder {
  folder: string;
  /** What the encoder reads: `query`, `document`, or `both`. */
  role: 'query' | 'document' | 'both';
  recipe: EncoderRecipe;
}

/**
 * Writes an encoder of the BERT family as transformers.js (`@huggingface/transformers`) loads it: `onnx/model.onnx` in f32 and
 * `onnx/model_quantized.onnx` in int8, config.json, tokenizer, and sentence-transformers' files. A Router becomes two such folders,
 * `query` and `document`. The limit of the tokenizer is that of the encoder.
 * @param out appears only when it is complete; must be new or empty
 * @throws ModelError if the encoder is broken, of another family, or has no tokenizer.json; UsageError; ResourceError
 */
export async function exportTransformersJs(
  out: string,
  model: ResolvedModel,
  { signal }: TransformersJsOptions = {},
): Promise<TransformersJsFolder[]> {
  const recipes = Object.entries(await readEncoderRecipes(model)) as [TransformersJsFolder['role'], EncoderRecipe][];
  for (const [, { model: one }] of recipes) await checkTokenizer(one);
  const placeIn = (folder: string, role: string) => (role === 'both' ? folder : join(folder, role));
  await writeFolder(out, [], async (fresh) => {
    for (const [role, recipe] of recipes) await writeOne(placeIn(fresh, role), recipe, signal);
  });
  return recipes.map(([role, recipe]) => ({ folder: placeIn(out, role), role, recipe }));
}

async function writeOne(folder: string, recipe: EncoderRecipe, signal: AbortSignal | undefined): Promise<void> {
  await writeEncoderSettings(folder, recipe);
  await limitTokenizer(join(folder, 'tokenizer_config.json'), recipe);
  await writeEncoderModules(folder, recipe);
  await makeFolder(join(folder, 'onnx'));
  const checkpoint = await openCheckpoint(recipe.model.path);
  const dense = recipe.dense === undefined ? undefined : await openCheckpoint(recipe.dense);
  const { pooling, normalize, config } = recipe;
  try {
    for (const [name, precision] of Object.entries({ model: 'f32', model_quantized: 'int8' } as const)) {
      const file = join(folder, 'onnx', `${name}.onnx`);
      await exportStandardEncoder(file, checkpoint, config, { precision, pooling, normalize, dense, signal });
    }
  } finally {
    await Promise.all([checkpoint.close(), dense?.close()]);
  }
}

async function limitTokenizer(file: string, { maxLength }: EncoderRecipe): Promise<void> {
  const config = (await isThere(file)) ? await readModelJson(file) : { tokenizer_class: 'BertTokenizer' };
  await writeModelJson(file, { ...(config as Record<string, unknown>), model_max_length: maxLength });
}

async function checkTokenizer({ path }: ResolvedModel): Promise<void> {
  if (await isThere(join(path, 'tokenizer.json'))) return;
  throw new ModelError('lacks tokenizer.json, which transformers.js reads', {
    file: path,
    fix: 'Save the tokenizer with Transformers once (AutoTokenizer, save_pretrained), which writes this file.',
  });
}
