import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFileIfThere } from '../files/index.ts';
import type { Pooling } from '../nn/index.ts';
import { ModelError } from '../system/index.ts';

/** The settings of a model folder that decide how texts become vectors, except for the network itself. */
export interface FolderSettings {
  pooling: Pooling;
  normalize: boolean;
  /** The maximum number of tokens, special ones included; undefined if the folder sets no limit. */
  maxLength: number | undefined;
  /** Whether to lower-case texts, except special tokens, whatever the tokenizer's files say. */
  lowerCase: boolean;
  /** The prompts by name ("query", "document"), which are put before the text. */
  prompts: Record<string, string>;
  /** The prompt of texts with a role that has no prompt. */
  defaultPrompt: string | undefined;
  /** The intended similarity of vectors. */
  similarity: string | undefined;
}

export const modulesSchema = z.array(z.object({ path: z.string().default(''), type: z.string() }));

const poolingSchema = z.looseObject({ include_prompt: z.boolean().default(true), pooling_mode: z.string().optional() });

const transformerSchema = z.object({
  max_seq_length: z.int().positive().nullish(),
  do_lower_case: z.boolean().nullish(),
});

const promptsSchema = z.object({
  prompts: z.record(z.string(), z.string().nullable()).nullish(),
  default_prompt_name: z.string().nullish(),
  similarity_fn_name: z.string().nullish(),
});

const POOLING_FLAGS: Record<string, Pooling> = {
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_sqrt_len_tokens: 'mean_sqrt_len',
};

/**
 * Reads a folder like sentence-transformers: `modules.json` with Transformer, Pooling and Normalize, the configuration
 * of the pooling, `sentence_bert_config.json` and `config_sentence_transformers.json`. A folder without `modules.json`
 * is a plain encoder, such as Contriever: the mean of the token vectors, not normalised.
 * @throws ModelError if a file is broken or needs an unsupported module
 */
export async function readFolderSettings(folder: string): Promise<FolderSettings> {
  const modules = await readSettings(join(folder, 'modules.json'), modulesSchema);
  const transformer = await readSettings(join(folder, 'sentence_bert_config.json'), transformerSchema);
  const named = await readPrompts(folder);
  const { pooling, normalize } = await readModules(folder, modules, Object.keys(named.prompts).length > 0);
  return {
    pooling,
    normalize,
    maxLength: transformer?.max_seq_length ?? undefined,
    lowerCase: transformer?.do_lower_case ?? false,
    ...named,
  };
}

/** What `config_sentence_transformers.json` says; nothing where there is none. @throws ModelError where it is broken */
export async function readPrompts(
  folder: string,
): Promise<Pick<FolderSettings, 'prompts' | 'defaultPrompt' | 'similarity'>> {
  const named = await readSettings(join(folder, 'config_sentence_transformers.json'), promptsSchema);
  const prompts = Object.entries(named?.prompts ?? {}).filter((entry): entry is [string, string] => entry[1] !== null);
  return {
    prompts: Object.fromEntries(prompts),
    defaultPrompt: named?.default_prompt_name ?? undefined,
    similarity: named?.similarity_fn_name ?? undefined,
  };
}

/**
 * Reads and checks a JSON file of a model folder; undefined if it does not exist.
 * @throws ModelError if it is invalid
 */
export async function readSettings<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  return readJsonFileIfThere(file, schema, (cause) => {
    if (!(cause instanceof z.ZodError))
      return new ModelError('is not JSON', { file, fix: 'Download the file again.', cause });
    const why = z.prettifyError(cause).replace(/\s+/g, ' ');
    const fix = 'Download the model again. If the file is intact, this kind of model is not supported.';
    return new ModelError(`cannot be used: ${why}`, { file, fix, cause });
  });
}

/** Reads what the modules behind the network do. @throws ModelError for one that is not supported */
export async function readModules(
  folder: string,
  modules: z.output<typeof modulesSchema> | undefined,
  hasPrompts: boolean,
): Promise<{ pooling: Pooling; normalize: boolean }> {
  if (modules === undefined) return { pooling: 'mean', normalize: false };
  let pooling: Pooling | undefined;
  let normalize = false;
  for (const { type, path } of modules) {
    const kind = type.split('.').at(-1);
    if (kind === 'Pooling') pooling = await readPooling(join(folder, path, 'config.json'), hasPrompts);
    else if (kind === 'Normalize') normalize = true;
    else if (kind !== 'Transformer' || path !== '') {
      throw new ModelError(`module ${kind}${path === '' ? '' : ` in ${path}`} is not supported`, {
        file: join(folder, 'modules.json'),
        fix: 'Use an encoder with the modules Transformer, Pooling and Normalize, or serve this one and pass the URL of the server.',
      });
    }
  }
  return { pooling: pooling ?? 'mean', normalize };
}

/** Which pooling the configuration of a Pooling module names. @throws ModelError for one that is not offered */
export async function readPooling(file: string, hasPrompts: boolean): Promise<Pooling> {
  const config = await readSettings(file, poolingSchema);
  const fix =
    'Use an encoder that pools by mean, cls, max or mean_sqrt_len, or serve this one and pass the URL of the server.';
  if (config === undefined) {
    throw new ModelError('is missing, but modules.json names it', { file, fix: 'Download the model again.' });
  }
  if (!config.include_prompt && hasPrompts) {
    throw new ModelError('excludes the prompt from the pooling, which is not supported', { file, fix });
  }
  const flags = Object.keys(config).filter((key) => key.startsWith('pooling_mode_') && config[key] === true);
  const modes = flags.map((flag) => POOLING_FLAGS[flag] ?? flag);
  if (modes.length === 0 && config.pooling_mode !== undefined) modes.push(config.pooling_mode);
  const known = Object.values(POOLING_FLAGS).find((mode) => modes.length === 1 && mode === modes[0]);
  if (known === undefined)
    throw new ModelError(`pooling ${modes.join(' + ') || 'none'} is not supported`, { file, fix });
  return known;
}
