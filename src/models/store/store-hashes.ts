import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { CacheKind, sha256, sha256File, systemFault, writeDurably } from '../../system/index.ts';
import type { FileRecord } from './store-types.ts';

/** Raise it if the same file would get another hash. */
const FORMAT = 1;

export const MODEL_HASH_CACHE = new CacheKind({
  ...{ name: 'hashes', format: FORMAT, what: 'hashes of model files outside the store', isSmall: true },
});

const noteSchema = z.object({ path: z.string(), bytes: z.number(), modified: z.number(), sha256: z.string() });

export interface HashOptions {
  signal?: AbortSignal | undefined;
  /** Told before a file is read because its hash is not known yet. */
  onRead?: (path: string) => void;
}

/**
 * SHA-256 of files that lie outside the store, remembered by path, size and time of change, so that naming the same
 * folder again costs no reading. One small note a file, under `HOME/hashes`.
 */
export class FileHashes {
  readonly #folder: string;

  constructor(home: string) {
    this.#folder = MODEL_HASH_CACHE.folder(home);
  }

  /** @throws DataError where the file is missing */
  async record(folder: string, path: string, options: HashOptions = {}): Promise<FileRecord> {
    const file = resolve(folder, path);
    const { size, mtimeMs } = await stat(file).catch((error: unknown) => {
      throw systemFault(error, file);
    });
    const note = join(this.#folder, `${sha256(file)}.json`);
    const known = await readNote(note);
    if (known?.path === file && known.bytes === size && known.modified === mtimeMs) {
      return { path, bytes: size, sha256: known.sha256 };
    }
    options.onRead?.(path);
    const found = await sha256File(file, options.signal);
    const text = JSON.stringify({ path: file, bytes: size, modified: mtimeMs, sha256: found });
    // A home that cannot be written costs time at the next call, and nothing else.
    await writeDurably(note, text).catch(() => {});
    return { path, bytes: size, sha256: found };
  }
}

async function readNote(note: string): Promise<z.infer<typeof noteSchema> | undefined> {
  try {
    return noteSchema.parse(JSON.parse(await readFile(note, 'utf8')));
  } catch {
    return undefined;
  }
}
