import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { Checkpoint, TensorInfo } from './checkpoint-contract.ts';
import { readIfPresent } from './model-text-file.ts';

const IndexSchema = z.object({
  metadata: z.record(z.string(), z.unknown()).optional(),
  weight_map: z.record(z.string(), z.string()),
});

/** The contents of a shard index. */
export interface ShardIndex {
  metadata: Record<string, unknown>;
  /** The file that holds each tensor. */
  shardOf: Map<string, string>;
  /** The distinct file names, in alphabetical order. */
  shards: string[];
}

/**
 * Opens a sharded checkpoint from its index file, which maps tensor names to file names (`*.index.json` of
 * Transformers). Opens every shard, to find a missing or broken one at once.
 * @throws ModelError for a broken index, a shard outside the index's folder, a missing shard or tensor
 */
export async function openSharded(
  indexFile: string,
  openShard: (path: string) => Promise<Checkpoint>,
): Promise<Checkpoint> {
  const text = await readIfPresent(indexFile);
  if (text === undefined)
    throw new ModelError('no such file', { file: indexFile, fix: 'Check the path of the model.' });
  const { shardOf, shards: names, metadata } = parseShardIndex(indexFile, text);
  const shards = new Map<string, Checkpoint>();
  try {
    for (const name of names) shards.set(name, await openShard(join(dirname(indexFile), name)));
    return new ShardedCheckpoint(indexFile, shardOf, shards, metadata);
  } catch (error) {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
    throw error;
  }
}

/**
 * Parses a shard index.
 * @param file the path that errors name
 * @throws ModelError if the index is broken or names a file outside its folder
 */
export function parseShardIndex(file: string, text: string): ShardIndex {
  const { metadata = {}, weight_map: map } = parseIndex(file, text);
  const shards = [...new Set(Object.values(map))].sort();
  for (const name of shards) checkShardName(file, name);
  if (shards.length === 0) {
    throw new ModelError('the index names no shards', { file, fix: 'Download the index again.' });
  }
  return { metadata, shardOf: new Map(Object.entries(map)), shards };
}

function parseIndex(file: string, text: string): z.output<typeof IndexSchema> {
  try {
    return IndexSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('is not a shard index ("weight_map": tensor names to file names)', {
      file,
      fix: 'Download the index again.',
      cause,
    });
  }
}

function checkShardName(indexFile: string, name: string): void {
  // Both separators are refused on every system: an index is untrusted input.
  if (name !== '' && name !== '.' && name !== '..' && !/[\\/\0]/.test(name)) return;
  throw new ModelError(`names a shard outside its folder: ${JSON.stringify(name)}`, {
    file: indexFile,
    id: name,
    fix: 'Do not use this model. Shards must be in the same folder as their index.',
  });
}

class ShardedCheckpoint implements Checkpoint {
  readonly path: string;
  readonly #places = new Map<string, { info: TensorInfo; shard: Checkpoint }>();
  readonly #shards: Map<string, Checkpoint>;
  readonly #metadata: Record<string, unknown>;

  constructor(
    path: string,
    shardOf: Map<string, string>,
    shards: Map<string, Checkpoint>,
    metadata: Record<string, unknown>,
  ) {
    this.path = path;
    this.#shards = shards;
    this.#metadata = metadata;
    const infos = new Map(
      [...shards].map(([file, shard]) => [file, new Map(shard.tensors().map((info) => [info.name, info]))]),
    );
    for (const [name, file] of shardOf) {
      const info = infos.get(file)?.get(name);
      if (info === undefined) {
        throw new ModelError(`the index says that ${file} holds this tensor, but it does not`, {
          file: path,
          id: name,
          fix: 'Download the index and its shards again, all from the same version.',
        });
      }
      this.#places.set(name, { info, shard: shards.get(file)! });
    }
  }

  tensors(): TensorInfo[] {
    return [...this.#places.values()].map(({ info }) => info);
  }

  async read(name: string): Promise<Float32Array> {
    const place = this.#places.get(name);
    if (place === undefined) throw unknownTensor(this.path, name);
    return place.shard.read(name);
  }

  metadata(): Record<string, unknown> {
    return this.#metadata;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#shards.values()].map((shard) => shard.close()));
  }
}

/** Returns the error for a tensor that a checkpoint lacks. */
export function unknownTensor(file: string, name: string): ModelError {
  return new ModelError('there is no such tensor', {
    file,
    id: name,
    fix: 'Check that the checkpoint has the architecture that its config.json names.',
  });
}
