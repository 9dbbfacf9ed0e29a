import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError } from '../../system/index.ts';
import type { Checkpoint } from './checkpoint-contract.ts';
import { openGguf } from './gguf.ts';
import { openSafetensors, openShardedSafetensors } from './safetensors.ts';
import { missingModel } from './tensor-file.ts';
import { openShardedTorch, openTorch } from './torch-checkpoint.ts';

const NAME_ANOTHER =
  'Name a folder with model.safetensors, pytorch_model.bin or one .gguf file, or name such a file itself.';

/**
 * Opens a checkpoint and checks its layout against the size of its files. In a folder the first found counts, in this order:
 * model.safetensors.index.json, model.safetensors, pytorch_model.bin.index.json, pytorch_model.bin, a single .gguf.
 * @throws ModelError where nothing is found or the file is broken
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const file = await checkpointFile(path);
  if (file.endsWith('.safetensors.index.json')) return openShardedSafetensors(file);
  if (file.endsWith('.bin.index.json')) return openShardedTorch(file);
  if (file.endsWith('.safetensors')) return openSafetensors(file);
  if (file.endsWith('.gguf')) return openGguf(file);
  if (/\.(bin|pt|pth)$/.test(file)) return openTorch(file);
  throw new ModelError('has no ending of a known checkpoint format', { file, fix: NAME_ANOTHER });
}

async function checkpointFile(path: string): Promise<string> {
  let names: string[];
  try {
    if (!(await stat(path)).isDirectory()) return path;
    names = await readdir(path);
  } catch (error) {
    throw missingModel(error, path);
  }
  const known = [
    'model.safetensors.index.json',
    'model.safetensors',
    'pytorch_model.bin.index.json',
    'pytorch_model.bin',
  ];
  const found = known.find((name) => names.includes(name));
  if (found !== undefined) return join(path, found);
  const ggufs = names.filter((name) => name.endsWith('.gguf'));
  if (ggufs.length === 1) return join(path, ggufs[0]!);
  const reason =
    ggufs.length === 0 ? 'holds no checkpoint' : `holds ${ggufs.length} GGUF files: which one is not clear`;
  throw new ModelError(reason, { file: path, fix: ggufs.length === 0 ? NAME_ANOTHER : 'Name one of the files.' });
}
