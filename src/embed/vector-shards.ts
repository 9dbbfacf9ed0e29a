import { type FileHandle, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError, DurableFile, systemFault, writeDurably } from '../system/index.ts';
import { npyHead, readNpyHead } from './npy.ts';

/** Some consecutive rows of a corpus: vectors in `shard-00000.npy`, ids in `shard-00000.ids.jsonl`, one a line. */
export interface Shard {
  /** Name of the .npy file. */
  file: string;
  rows: number;
}

const idSchema = z.string();

/** The fix of everything that is wrong with a folder of vectors. */
export const ENCODE_AGAIN = 'Remove the folder of vectors and encode the corpus again.';

export function shardName(index: number): string {
  return `shard-${String(index).padStart(5, '0')}.npy`;
}

function idsName(shard: string): string {
  return shard.replace(/\.npy$/, '.ids.jsonl');
}

/** Writes a shard; the .npy comes last, so that a shard that has one is whole. */
export async function writeShard(
  folder: string,
  index: number,
  ids: readonly string[],
  vectors: Float32Array,
): Promise<Shard> {
  const file = shardName(index);
  await writeDurably(join(folder, idsName(file)), ids.map((id) => `${JSON.stringify(id)}\n`).join(''));
  const npy = await DurableFile.create(join(folder, file));
  try {
    await npy.write(npyHead(ids.length, vectors.length / ids.length));
    await npy.write(new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
  } catch (error) {
    await npy.discard();
    throw error;
  }
  await npy.commit();
  return { file, rows: ids.length };
}

/**
 * The whole shards of a folder that was left unfinished, from the first on without a gap.
 * @throws DataError where one is damaged or has other dimensions
 */
export async function findShards(folder: string, dimensions: number): Promise<Shard[]> {
  const names = new Set(await readdir(folder));
  const shards: Shard[] = [];
  while (names.has(shardName(shards.length))) {
    const file = shardName(shards.length);
    shards.push({ file, rows: await shardRows(join(folder, file), dimensions) });
  }
  return shards;
}

/** Number of rows of a shard whose head, size and dimensions are right. @throws DataError */
export async function shardRows(file: string, dimensions: number): Promise<number> {
  return withFile(file, async (handle) => {
    const head = await readNpyHead(handle, file);
    if (head.dimensions === dimensions) return head.rows;
    const reason = `has vectors of ${head.dimensions} dimensions, but the encoder makes ${dimensions}`;
    throw new DataError(reason, { file, fix: ENCODE_AGAIN });
  });
}

/** Opens a file for as long as the work takes. */
export async function withFile<T>(file: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(file, 'r').catch((error) => {
    throw systemFault(error, file);
  });
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}

/** Ids of a shard's rows. @throws DataError where they are not one a row */
export async function readShardIds(folder: string, { file, rows }: Shard): Promise<string[]> {
  const path = join(folder, idsName(file));
  const text = await readFile(path, 'utf8').catch((error) => {
    throw systemFault(error, path);
  });
  const lines = text.split('\n').slice(0, -1);
  if (lines.length !== rows) {
    throw new DataError(`holds ${lines.length} ids for ${rows} vectors`, { file: path, fix: ENCODE_AGAIN });
  }
  return lines.map((line, index) => {
    try {
      return idSchema.parse(JSON.parse(line));
    } catch (cause) {
      throw new DataError('is not an id', { file: path, line: index + 1, fix: ENCODE_AGAIN, cause });
    }
  });
}
