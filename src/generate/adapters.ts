import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError, sha256File, systemFault } from '../system/index.ts';

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

/** Finds the adapters' files and hashes them. @throws ModelError, DataError */
export async function findAdapters(adapters: readonly Adapter[]): Promise<LoadedAdapter[]> {
  return Promise.all(
    adapters.map(async ({ path, scale = 1 }) => {
      const file = await adapterFile(path);
      return { file, scale, sha256: await sha256File(file) };
    }),
  );
}

async function adapterFile(path: string): Promise<string> {
  const entries = await listIfFolder(path);
  const found = entries === undefined ? [path] : entries.filter((name) => name.endsWith('.gguf'));
  const only = found[0];
  if (found.length !== 1 || only === undefined || !only.endsWith('.gguf')) {
    throw new ModelError(`llama.cpp needs one adapter in GGUF, and ${found.length === 0 ? 'none is' : 'this is not'}`, {
      file: path,
      mend: "Name the .gguf file itself; llama.cpp's convert_lora_to_gguf.py makes one from an adapter in PEFT's layout.",
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
