import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readModelJson, TOKENIZER_FILE } from '../models/index.ts';
import { makeFolder, systemFault, writeDurably } from '../system/index.ts';
import type { EncoderRecipe } from './local-encoder.ts';

/** The names of sentence-transformers' module types begin so. */
const TYPE = 'sentence_transformers.models.';

/**
 * Writes what an encoder's folder holds beside weights and modules, as Transformers and sentence-transformers read it: config.json,
 * tokenizer, limits, prompts and similarity.
 */
export async function writeEncoderSettings(folder: string, recipe: EncoderRecipe): Promise<void> {
  const source = recipe.model.path;
  await makeFolder(folder);
  for (const name of (await readdir(source)).filter((one) => TOKENIZER_FILE.test(one))) {
    await copyFile(join(source, name), join(folder, name)).catch((error: unknown) => {
      throw systemFault(error, join(source, name));
    });
  }
  const config = (await readModelJson(join(source, 'config.json'))) as Record<string, unknown>;
  const dtype = 'dtype' in config ? 'dtype' : 'torch_dtype';
  await writeModelJson(join(folder, 'config.json'), { ...config, [dtype]: 'float32' });
  const { maxLength, lowerCase, prefixes, similarity } = recipe;
  await writeModelJson(join(folder, 'sentence_bert_config.json'), {
    max_seq_length: maxLength,
    do_lower_case: lowerCase,
  });
  await writeModelJson(join(folder, 'config_sentence_transformers.json'), {
    prompts: { query: prefixes.query, document: prefixes.document },
    default_prompt_name: null,
    similarity_fn_name: similarity,
  });
}

/** Writes modules.json and its folders, for one encoder: Transformer, Pooling, a linear map if it has one, and Normalize. */
export async function writeEncoderModules(folder: string, recipe: EncoderRecipe): Promise<void> {
  const kinds = [
    'Transformer',
    'Pooling',
    ...(recipe.dense === undefined ? [] : ['Dense']),
    ...(recipe.normalize ? ['Normalize'] : []),
  ];
  const modules = kinds.map((kind, idx) => ({
    ...{ idx, name: String(idx), path: idx === 0 ? '' : `${idx}_${kind}`, type: TYPE + kind },
  }));
  for (const { path } of modules.slice(1)) await makeFolder(join(folder, path));
  await writePooling(join(folder, '1_Pooling'), recipe);
  if (recipe.dense !== undefined) {
    for (const name of ['config.json', 'model.safetensors']) {
      await copyFile(join(recipe.dense, name), join(folder, '2_Dense', name));
    }
  }
  await writeModelJson(join(folder, 'modules.json'), modules);
}

/** Writes the configuration of a Pooling module. */
export async function writePooling(folder: string, { pooling, config }: EncoderRecipe): Promise<void> {
  await makeFolder(folder);
  await writeModelJson(join(folder, 'config.json'), {
    word_embedding_dimension: config.hidden_size,
    pooling_mode_cls_token: pooling === 'cls',
    pooling_mode_mean_tokens: pooling === 'mean',
    pooling_mode_max_tokens: pooling === 'max',
    pooling_mode_mean_sqrt_len_tokens: pooling === 'mean_sqrt_len',
    include_prompt: true,
  });
}

/** Writes a JSON file of a model folder. */
export function writeModelJson(file: string, content: unknown): Promise<void> {
  return writeDurably(file, `${JSON.stringify(content, null, 2)}\n`);
}
