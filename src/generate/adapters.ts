import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint } from '../models/index.ts';
import { ModelError, sha256File, systemFault, UsageError } from '../system/index.ts';

/** A LoRA adapter that is added to the model's weights, times its scale. */
export interface Adapter {
  /** A GGUF adapter, or a folder that holds one. */
  path: string;
  /** 1 applies it as it was trained. */
  scale?: number | undefined;
}

/** An adapter's file, its scale, and the hash of its bytes. */
export interface LoadedAdapter {
  file: string;
  scale: number;
  sha256: string;
}

/** What an adapter must fit. */
export interface AdaptedModel {
  /** As GGUF names it: llama, qwen2, ... */
  architecture: string;
  /** Of every tensor, row-major. */
  shapes: ReadonlyMap<string, readonly number[]>;
}

/**
 * Finds the adapters' files, checks that they are LoRA adapters of this model, and hashes them.
 *
 * @throws ModelError for a file that is broken, or is an adapter of another model; DataError for a missing one
 */
export async function findAdapters(
  adapters: readonly Adapter[],
  model: AdaptedModel,
  signal?: AbortSignal,
): Promise<LoadedAdapter[]> {
  return Promise.all(
    adapters.map(async ({ path, scale = 1 }) => {
      if (!Number.isFinite(scale)) throw new UsageError(`${scale} is no scale`, { file: path, mend: 'Give a number.' });
      const file = await adapterFile(path);
      await checkAdapter(file, model);
      return { file, scale, sha256: await sha256File(file, signal) };
    }),
  );
}

async function checkAdapter(file: string, model: AdaptedModel): Promise<void> {
  const checkpoint = await openCheckpoint(file);
  try {
    const metadata = checkpoint.metadata();
    if (metadata['general.type'] !== 'adapter' || metadata['adapter.type'] !== 'lora') {
      throw new ModelError('this GGUF file is not a LoRA adapter', { file, mend: CONVERT });
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

/** Checks A [rank, in] of each pair against its B [out, rank] and the weight [out, in]. */
function checkPair(
  file: string,
  name: string,
  a: readonly number[],
  shapes: ReadonlyMap<string, readonly number[]>,
  model: AdaptedModel,
): void {
  // Embeddings are adapted the other way round, and experts have one more dimension: llama.cpp checks those.
  if (!name.endsWith('.lora_a') || name.startsWith('token_embd.')) return;
  const weight = name.slice(0, -'.lora_a'.length);
  const target = model.shapes.get(weight);
  if (target === undefined) throw otherModel(file, 'the model has no such weight', weight);
  const b = shapes.get(`${weight}.lora_b`);
  if (b === undefined) throw new ModelError('lora_a has no lora_b', { file, id: weight, mend: CONVERT });
  if (target.length !== 2) return;
  if (a[1] === target[1] && b[0] === target[0] && a[0] === b[1]) return;
  const found = `A is [${a.join(', ')}] and B is [${b.join(', ')}]`;
  throw otherModel(file, `${found}, which does not fit the model's [${target.join(', ')}]`, weight);
}

function otherModel(file: string, reason: string, id?: string): ModelError {
  return new ModelError(reason, {
    file,
    id,
    mend: 'Name the model that the adapter was trained on, or its own adapter.',
  });
}

const CONVERT = "llama.cpp's convert_lora_to_gguf.py makes one from an adapter in PEFT's layout.";

async function adapterFile(path: string): Promise<string> {
  const entries = await listIfFolder(path);
  const found = entries === undefined ? [path] : entries.filter((name) => name.endsWith('.gguf'));
  const only = found[0];
  if (found.length !== 1 || only === undefined || !only.endsWith('.gguf')) {
    throw new ModelError(`llama.cpp needs one adapter in GGUF, and ${found.length === 0 ? 'none is' : 'this is not'}`, {
      file: path,
      mend: `Name the .gguf file itself; ${CONVERT}`,
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
