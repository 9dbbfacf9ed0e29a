import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type Checkpoint,
  ggufNameOf,
  isAdapterFolder,
  loraPairs,
  makeConvertedCopy,
  openCheckpoint,
  readAdapter,
  writeGgufAdapter,
} from '../../models/index.ts';
import { CacheKind, contentKey, ModelError, sha256File, systemFault, UsageError } from '../../system/index.ts';

/** A LoRA adapter: it is added to the model's weights, multiplied by its scale. */
export interface Adapter {
  /** A GGUF adapter, a folder that holds one, or a folder in PEFT's layout. */
  path: string;
  /** 1 (the default) applies the adapter as it was trained. */
  scale?: number | undefined;
}

/** An adapter's file, its scale, and the hash of its bytes. */
export interface LoadedAdapter {
  file: string;
  scale: number;
  sha256: string;
}

/** The properties of a model that an adapter must match. */
export interface AdaptedModel {
  /** As in GGUF: llama, qwen2, ... */
  architecture: string;
  /** Number of query heads and of key heads; they order the rows of adapters in PEFT's layout. */
  heads: number;
  keyHeads: number;
  /** Shape of every tensor, row-major. */
  shapes: ReadonlyMap<string, readonly number[]>;
}

/** Returns the properties of a GGUF model that its adapters must match. */
export function adaptedModel(checkpoint: Checkpoint): AdaptedModel {
  const metadata = checkpoint.metadata();
  const architecture = String(metadata['general.architecture']);
  const heads = Number(metadata[`${architecture}.attention.head_count`]);
  const keyHeads = Number(metadata[`${architecture}.attention.head_count_kv`] ?? heads);
  const shapes = new Map(checkpoint.tensors().map(({ name, shape }) => [name, shape]));
  return { architecture, heads, keyHeads, shapes };
}

/**
 * Finds the adapters' files, checks that they are LoRA adapters of this model, and hashes them. An adapter in PEFT's layout is
 * first written as GGUF into the cache folder, under a key made of its content and the model's heads.
 *
 * @throws ModelError if a file is broken or belongs to another model; DataError if it is missing; UsageError if a scale is not a
 * number
 */
export async function findAdapters(
  adapters: readonly Adapter[],
  model: AdaptedModel,
  signal?: AbortSignal,
): Promise<LoadedAdapter[]> {
  return Promise.all(
    adapters.map(async ({ path, scale = 1 }) => {
      if (!Number.isFinite(scale))
        throw new UsageError(`${scale} is not a valid scale`, { file: path, fix: 'Pass a finite number, such as 1.' });
      const isFolder = await isAdapterFolder(path);
      const file = isFolder ? await convertedFile(path, model, signal) : await adapterFile(path);
      await checkAdapter(file, model, isFolder ? path : file);
      return { file, scale, sha256: await sha256File(file, signal) };
    }),
  );
}

/** Raise it whenever the same folder would be converted to a different GGUF file. */
const FORMAT = 2;

export const ADAPTER_CACHE = new CacheKind({
  name: 'adapters',
  format: FORMAT,
  what: 'adapters converted for the embedded LLM',
});

async function convertedFile(folder: string, model: AdaptedModel, signal: AbortSignal | undefined): Promise<string> {
  const { architecture, heads, keyHeads } = model;
  const adapter = await readAdapter(folder);
  for (const { module, a, b } of loraPairs(adapter, folder)) {
    checkFactors(folder, ggufNameOf(`${module}.weight`) ?? module, a.shape, b.shape, model);
  }
  const names = ['adapter_config.json', 'adapter_model.safetensors'];
  const hashes = await Promise.all(names.map((name) => sha256File(join(folder, name), signal)));
  const key = contentKey({ format: FORMAT, hashes, architecture, heads, keyHeads });
  const file = join(ADAPTER_CACHE.folder(), `${key}.gguf`);
  const make = () => writeGgufAdapter(file, adapter, { architecture, heads, keyHeads });
  await makeConvertedCopy(file, make, { signal });
  await ADAPTER_CACHE.note(file, resolve(folder));
  return file;
}

/** @param file the path that errors name: the user's folder, not the copy in the cache */
async function checkAdapter(path: string, model: AdaptedModel, file: string): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  try {
    const metadata = checkpoint.metadata();
    if (metadata['general.type'] !== 'adapter' || metadata['adapter.type'] !== 'lora') {
      throw new ModelError('this GGUF file is not a LoRA adapter', { file, fix: CONVERT });
    }
    const architecture = String(metadata['general.architecture']);
    if (architecture !== model.architecture) {
      throw otherModel(file, `the adapter is for ${architecture}, and the model is ${model.architecture}`);
    }
    const shapes = new Map(checkpoint.tensors().map(({ name, shape }) => [name, shape]));
    for (const [name, shape] of shapes) checkPair(file, name, shape, shapes, model);
  } finally {
    await checkpoint.close();
  }
}

/** Checks matrix A [rank, in] of each pair against its B [out, rank] and the weight [out, in]. */
function checkPair(
  file: string,
  name: string,
  a: readonly number[],
  shapes: ReadonlyMap<string, readonly number[]>,
  model: AdaptedModel,
): void {
  // Adapters of embeddings are transposed, and those of experts have one more dimension: llama.cpp checks them.
  if (!name.endsWith('.lora_a') || name.startsWith('token_embd.')) return;
  const weight = name.slice(0, -'.lora_a'.length);
  const b = shapes.get(`${weight}.lora_b`);
  if (model.shapes.has(weight) && b === undefined) {
    throw new ModelError('lora_a has no lora_b', { file, id: weight, fix: CONVERT });
  }
  checkFactors(file, weight, a, b ?? [], model);
}

function checkFactors(
  file: string,
  weight: string,
  a: readonly number[],
  b: readonly number[],
  model: AdaptedModel,
): void {
  const target = model.shapes.get(weight);
  if (target === undefined) throw otherModel(file, 'the model has no such weight', weight);
  if (target.length !== 2) return;
  if (a[1] === target[1] && b[0] === target[0] && a[0] === b[1]) return;
  const found = `A is [${a.join(', ')}] and B is [${b.join(', ')}]`;
  throw otherModel(file, `${found}, which does not fit the model's [${target.join(', ')}]`, weight);
}

function otherModel(file: string, reason: string, id?: string): ModelError {
  return new ModelError(reason, {
    file,
    id,
    fix: 'Use the model that the adapter was trained on, or an adapter of this model.',
  });
}

const CONVERT = "Pass a folder in PEFT's layout (with adapter_config.json) or a GGUF adapter.";

async function adapterFile(path: string): Promise<string> {
  const entries = await listIfFolder(path);
  const found = entries === undefined ? [path] : entries.filter((name) => name.endsWith('.gguf'));
  const only = found[0];
  if (found.length !== 1 || only === undefined || !only.endsWith('.gguf')) {
    throw new ModelError(`llama.cpp needs one adapter in GGUF, and ${found.length === 0 ? 'none is' : 'this is not'}`, {
      file: path,
      fix: CONVERT,
    });
  }
  return entries === undefined ? only : join(path, only);
}

async function listIfFolder(path: string): Promise<string[] | undefined> {
  try {
    return (await stat(path)).isDirectory() ? (await readdir(path)).sort() : undefined;
  } catch (error) {
    throw systemFault(error, path);
  }
}
