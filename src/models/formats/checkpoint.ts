import { join } from 'node:path';
import { ModelError } from '../../system/index.ts';
import type { Checkpoint } from './checkpoint-contract.ts';
import { openGguf } from './gguf.ts';
import { openGgufParts } from './gguf-parts.ts';
import { weightFilesAt } from './model-folder.ts';
import { openSafetensors, openShardedSafetensors } from './safetensors.ts';
import { openShardedTorch, openTorch } from './torch-checkpoint.ts';

const NAME_ANOTHER = 'Pass such a file, or a folder that holds model.safetensors, pytorch_model.bin or one .gguf file.';

/**
 * Opens a checkpoint and checks its layout against the size of its files. In a folder, opens the first of:
 * model.safetensors, its index, pytorch_model.bin, its index, the only .gguf model. Given one shard, or one part of a
 * GGUF model, opens the complete model.
 * A tensor with a value that is not a number is refused when it is read: every result of such a model would be NaN.
 * @throws ModelError if nothing is found, or a file is missing or broken
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  return refusingNaN(await open(path));
}

async function open(path: string): Promise<Checkpoint> {
  const { folder, entry, files } = await weightFilesAt(path);
  const file = join(folder, entry);
  if (entry.endsWith('.safetensors.index.json')) return openShardedSafetensors(file);
  if (entry.endsWith('.bin.index.json')) return openShardedTorch(file);
  if (entry.endsWith('.safetensors')) return openSafetensors(file);
  if (entry.endsWith('.gguf'))
    return files.length === 1 ? openGguf(file) : openGgufParts(files.map((part) => join(folder, part)));
  if (/\.(bin|pt|pth)$/.test(entry)) return openTorch(file);
  throw new ModelError('does not have the file extension of a known checkpoint format', { file, fix: NAME_ANOTHER });
}

function refusingNaN(checkpoint: Checkpoint): Checkpoint {
  return {
    path: checkpoint.path,
    tensors: () => checkpoint.tensors(),
    metadata: () => checkpoint.metadata(),
    close: () => checkpoint.close(),
    async read(name) {
      const values = await checkpoint.read(name);
      const at = firstNaN(values);
      if (at === undefined) return values;
      throw new ModelError(`value ${at} of the tensor is NaN (not a number)`, {
        file: checkpoint.path,
        id: name,
        fix: 'The weights are damaged, or come from a training that diverged. Download the model again, or use an earlier checkpoint.',
      });
    },
  };
}

/** A loop, because `findIndex` takes seven times as long, which is seconds for a large model. */
function firstNaN(values: Float32Array): number | undefined {
  for (let at = 0; at < values.length; at++) if (Number.isNaN(values[at])) return at;
  return undefined;
}
