import { readdir, stat } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import type { Checkpoint, TensorInfo } from '../formats/checkpoint-contract.ts';
import { readIfPresent } from '../formats/model-text-file.ts';
import { isAdapterFolder, loraPairs, readAdapter } from './adapter.ts';

/** The tensors of one element type. */
export interface TypeCount {
  dtype: string;
  tensors: number;
  parameters: number;
}

/** A LoRA adapter's settings. */
export interface AdapterFacts {
  /** The model that it was trained on, as its trainer called it. */
  base: string | undefined;
  rank: number;
  alpha: number;
  /** Number of adapted weights. */
  modules: number;
  /** The last parts of their names: `q_proj`, `v_proj`. */
  targets: string[];
}

/** What is known about a model without running it. */
export interface ModelSummary {
  path: string;
  format: 'gguf' | 'safetensors' | 'torch';
  /** For a LoRA adapter, what its configuration says. */
  adapter?: AdapterFacts | undefined;
  /** The architecture that the model states ("bert", "llama"). */
  architecture: string | undefined;
  parameters: number;
  layers: number | undefined;
  /** Size of a hidden state. */
  dimensions: number | undefined;
  /** The number of positions that the model was trained for, in tokens. */
  contextLength: number | undefined;
  /** The length to which texts are truncated, in tokens, from sentence-transformers' settings. */
  maxLength: number | undefined;
  chatTemplate: boolean;
  /** "mean", "cls" and so on, from sentence-transformers' settings. */
  pooling: string | undefined;
  types: TypeCount[];
  tensors: TensorInfo[];
}

/**
 * Summarises a model, a folder or one file, from the header of its weights and the settings next to it. A folder that holds an
 * adapter and no model is summarised as an adapter.
 * @throws ModelError if there is no model or it is broken
 */
export async function summarizeModel(path: string): Promise<ModelSummary> {
  if (await holdsOnlyAdapter(path)) return summarizeAdapter(path);
  const checkpoint = await openCheckpoint(path);
  try {
    const tensors = checkpoint.tensors();
    const isGguf = extname(checkpoint.path) === '.gguf';
    const facts = isGguf ? factsOfGguf(checkpoint) : await factsOfFolder(await folderOf(path));
    const types = countTypes(tensors);
    const parameters = types.reduce((total, type) => total + type.parameters, 0);
    return { path, format: formatOf(checkpoint.path), parameters, ...facts, types, tensors };
  } finally {
    await checkpoint.close();
  }
}

async function holdsOnlyAdapter(path: string): Promise<boolean> {
  if (!(await isAdapterFolder(path))) return false;
  const names = await readdir(path);
  return !names.some((name) => /^(model|pytorch_model).*\.(safetensors|bin|json)$|\.gguf$/.test(name));
}

/** Reads the whole adapter: it is small, and its factors are checked. */
async function summarizeAdapter(path: string): Promise<ModelSummary> {
  const adapter = await readAdapter(path);
  const pairs = loraPairs(adapter);
  const { config } = adapter;
  const checkpoint = await openCheckpoint(join(path, ADAPTER_WEIGHTS));
  const tensors = checkpoint.tensors();
  await checkpoint.close();
  const types = countTypes(tensors);
  const targets = [...new Set(pairs.map(({ module }) => module.split('.').at(-1)!))].sort();
  const base = config.base_model_name_or_path ?? undefined;
  return {
    ...{ path, format: 'safetensors', architecture: undefined, layers: undefined, dimensions: undefined },
    ...{ contextLength: undefined, maxLength: undefined, chatTemplate: false, pooling: undefined },
    adapter: { base, rank: config.r, alpha: config.lora_alpha, modules: pairs.length, targets },
    parameters: types.reduce((total, type) => total + type.parameters, 0),
    ...{ types, tensors },
  };
}

const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

type Facts = Omit<ModelSummary, 'path' | 'format' | 'parameters' | 'types' | 'tensors' | 'adapter'>;

function formatOf(file: string): ModelSummary['format'] {
  if (file.endsWith('.gguf')) return 'gguf';
  return /\.safetensors(\.index\.json)?$/.test(file) ? 'safetensors' : 'torch';
}

async function folderOf(path: string): Promise<string> {
  return (await stat(path)).isDirectory() ? path : dirname(path);
}

/** Reads the keys of the GGUF specification, docs/gguf.md of the ggml repository. */
function factsOfGguf(checkpoint: Checkpoint): Facts {
  const metadata = checkpoint.metadata();
  const architecture = metadata['general.architecture'];
  const number = (key: string) => {
    const value = metadata[`${String(architecture)}.${key}`];
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : undefined;
  };
  const pooling = number('pooling_type');
  return {
    architecture: typeof architecture === 'string' ? architecture : undefined,
    layers: number('block_count'),
    dimensions: number('embedding_length'),
    contextLength: number('context_length'),
    maxLength: undefined,
    chatTemplate: typeof metadata['tokenizer.chat_template'] === 'string',
    pooling: pooling === undefined ? undefined : GGUF_POOLINGS[pooling],
  };
}

const GGUF_POOLINGS: readonly string[] = ['none', 'mean', 'cls', 'last token', 'rank'];

const configSchema = z.looseObject({
  model_type: z.string().optional(),
  architectures: z.array(z.string()).nullish(),
  num_hidden_layers: z.number().optional(),
  hidden_size: z.number().optional(),
  max_position_embeddings: z.number().optional(),
});
const tokenizerSchema = z.looseObject({ chat_template: z.unknown().optional() });
const lengthSchema = z.looseObject({ max_seq_length: z.number().nullish() });
const poolingSchema = z.looseObject({});

async function factsOfFolder(folder: string): Promise<Facts> {
  const config = await readSettings(folder, 'config.json', configSchema);
  const tokenizer = await readSettings(folder, 'tokenizer_config.json', tokenizerSchema);
  const lengths = await readSettings(folder, 'sentence_bert_config.json', lengthSchema);
  const pooling = await readSettings(folder, '1_Pooling/config.json', poolingSchema);
  const template = await readIfPresent(join(folder, 'chat_template.jinja'));
  return {
    architecture: config?.model_type ?? config?.architectures?.[0],
    layers: config?.num_hidden_layers,
    dimensions: config?.hidden_size,
    contextLength: config?.max_position_embeddings,
    maxLength: lengths?.max_seq_length ?? undefined,
    chatTemplate: template !== undefined || (tokenizer?.chat_template ?? undefined) !== undefined,
    pooling: pooling && describePooling(pooling),
  };
}

/** Shortens keys such as `pooling_mode_mean_tokens: true` to one word each. */
function describePooling(settings: Record<string, unknown>): string {
  const modes = Object.keys(settings).filter((key) => key.startsWith('pooling_mode_') && settings[key] === true);
  return modes.map((key) => key.replace('pooling_mode_', '').replace(/_tokens?$/, '')).join(' + ') || 'none';
}

async function readSettings<T>(folder: string, name: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const file = join(folder, name);
  const text = await readIfPresent(file);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'is not JSON' : 'lacks a required setting, or has an invalid one';
    throw new ModelError(reason, { file, fix: 'Download the file again.', cause: error });
  }
}

function countTypes(tensors: readonly TensorInfo[]): TypeCount[] {
  const counts = new Map<string, TypeCount>();
  for (const { dtype, shape } of tensors) {
    const count = counts.get(dtype) ?? { dtype, tensors: 0, parameters: 0 };
    count.tensors += 1;
    count.parameters += shape.reduce((product, size) => product * size, 1);
    counts.set(dtype, count);
  }
  return [...counts.values()].sort((a, b) => b.parameters - a.parameters);
}
