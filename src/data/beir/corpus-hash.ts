import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CacheKind, sha256, sha256File, systemFault, writeDurably } from '../../system/index.ts';

const entrySchema = z.object({ path: z.string(), size: z.string(), modified: z.string(), sha256: z.string() });

/** Raise it whenever the same file would get another hash. */
const FORMAT = 1;

export const FILE_HASH_CACHE = new CacheKind({
  ...{ name: 'file-hashes', format: FORMAT, what: 'hashes of data files', isSmall: true },
});

/** A file modified more recently than this, in milliseconds, may change again under the same time stamp. */
const SETTLED = 2000;

/**
 * Returns the SHA-256 of a file's bytes. It is stored in the cache folder and reused while the file's size and modification time
 * stay the same.
 *
 * @throws DataError if the file is missing
 */
export async function cachedSha256(file: string, signal?: AbortSignal): Promise<string> {
  const state = await fileState(file);
  const entry = join(FILE_HASH_CACHE.folder(), `${sha256(state.path)}.json`);
  const known = await readEntry(entry);
  if (known?.path === state.path && known.size === state.size && known.modified === state.modified) return known.sha256;
  const hash = await sha256File(file, signal);
  if (Date.now() - state.milliseconds > SETTLED) {
    const { path, size, modified } = state;
    // A cache that cannot be written only costs time.
    await writeDurably(entry, JSON.stringify({ path, size, modified, sha256: hash })).catch(() => {});
  }
  return hash;
}

async function fileState(file: string) {
  try {
    const { size, mtimeNs, mtimeMs } = await stat(file, { bigint: true });
    return {
      path: await realpath(file),
      size: String(size),
      modified: String(mtimeNs),
      milliseconds: Number(mtimeMs),
    };
  } catch (error) {
    throw systemFault(error, file);
  }
}

async function readEntry(entry: string): Promise<z.infer<typeof entrySchema> | undefined> {
  try {
    return entrySchema.parse(JSON.parse(await readFile(entry, 'utf8')));
  } catch {
    return undefined;
  }
}
