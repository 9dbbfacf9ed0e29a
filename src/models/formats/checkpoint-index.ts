import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { Checkpoint, TensorInfo } from './checkpoint-contract.ts';
import { readIfPresent } from './model-text-file.ts';

const IndexSchema = z.object({
  metadata: z.record(z.string(), z.unknown()).optional(),
  weight_map: z.record(z.string(), z.string()),
});

/** An index of shards. */
export interface ShardIndex {
  metadata: Record<string, unknown>;
  /** File of each tensor. */
  shardOf: Map<string, string>;
  /** Names of the files, each once, in alphabetical order. */
  shards: string[];
}

/**
 * Opens a checkpoint that is cut into shards, from its index file (Transformers' `*.index.json`): tensor names to file
 * names. All shards are opened, so that a missing or broken one is found at once.
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

/** Reads an index. @param file named in errors @throws ModelError if it is broken or names a file outside its folder */
export function parseShardIndex(file: string, text: string): ShardIndex {
  const { metadata = {}, weight_map: map } = parseIndex(file, text);
  const shards = [...new Set(Object.values(map))].sort();
  for (const name of shards) checkShardName(file, name);
  if (shards.length === 0) {
    throw new ModelError('the index names no shards', { file, fix: 'Fetch the index again.' });
  }
  return { metadata, shardOf: new Map(Object.entries(map)), shards };
}

function parseIndex(file: string, text: string): z.output<typeof IndexSchema> {
  try {
    return IndexSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('is not an index of shards ("weight_map": tensor names to file names)', {
      file,
      fix: 'Fetch the index again.',
      cause,
    });
  }
}

function checkShardName(indexFile: string, name: string): void {
  // Both separators are refused on every system: an index is data from elsewhere.
  if (name !== '' && name !== '.' && name !== '..' && !/[\\/\0]/.test(name)) return;
  throw new ModelError(`names a shard outside its folder: ${JSON.stringify(name)}`, {
    file: indexFile,
    id: name,
    fix: 'Do not use this model: shards lie beside their index.',
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
          fix: 'Fetch the index and its shards again, all of one version.',
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

/** The error for a tensor that a checkpoint does not hold. */
export function unknownTensor(file: string, name: string): ModelError {
  return new ModelError('there is no such tensor', {
    file,
    id: name,
    fix: 'Check that the checkpoint is of the architecture its config.json names.',
  });
}
