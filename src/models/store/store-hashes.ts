import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { CacheKind, sha256, sha256File, systemFault, writeDurably } from '../../system/index.ts';
import type { FileRecord } from './store-types.ts';

/** Increase this if the same file would get a different hash. */
const FORMAT = 1;

export const MODEL_HASH_CACHE = new CacheKind({
  ...{ name: 'hashes', format: FORMAT, what: 'hashes of model files outside the store', isSmall: true },
});

const noteSchema = z.object({
  path: z.string(),
  bytes: z.number(),
  modified: z.number(),
  /** The inode number on the disk, which differs for a file that replaced this one. */
  inode: z.number().optional(),
  sha256: z.string(),
});
type Note = z.infer<typeof noteSchema>;

export interface HashOptions {
  signal?: AbortSignal | undefined;
  /** Whether to read the file even if its hash is recorded. */
  fresh?: boolean | undefined;
  /** Called before a file is read because its hash is unknown. */
  onRead?: (path: string) => void;
}

/**
 * SHA-256 hashes of files, recorded by path, size, modification time and inode, so that using the same model again
 * needs no reading. One small note per file, under `HOME/hashes`.
 */
export class FileHashes {
  readonly #folder: string;

  constructor(home: string) {
    this.#folder = MODEL_HASH_CACHE.folder(home);
  }

  /** @throws DataError if the file is missing */
  async record(folder: string, path: string, options: HashOptions = {}): Promise<FileRecord> {
    const file = resolve(folder, path);
    const state = await stateOf(file);
    const known = options.fresh ? undefined : await readNote(this.#noteOf(file));
    if (known !== undefined && isOf(known, state)) return { path, bytes: state.bytes, sha256: known.sha256 };
    options.onRead?.(path);
    const found = await sha256File(file, options.signal);
    await this.#write({ ...state, sha256: found });
    return { path, bytes: state.bytes, sha256: found };
  }

  /** Records hashes that are already known, such as those computed during a download. */
  async remember(folder: string, records: readonly FileRecord[]): Promise<void> {
    for (const { path, sha256: known } of records) {
      const state = await stateOf(resolve(folder, path)).catch(() => undefined);
      if (state !== undefined) await this.#write({ ...state, sha256: known });
    }
  }

  #noteOf(file: string): string {
    return join(this.#folder, `${sha256(file)}.json`);
  }

  /** If the home folder cannot be written, the next call hashes the file again. */
  async #write(note: Note): Promise<void> {
    await writeDurably(this.#noteOf(note.path), JSON.stringify(note)).catch(() => {});
  }
}

type State = Omit<Note, 'sha256'>;

async function stateOf(file: string): Promise<State> {
  const { size, mtimeMs, ino } = await stat(file).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  return { path: file, bytes: size, modified: mtimeMs, inode: ino };
}

function isOf(note: Note, { path, bytes, modified, inode }: State): boolean {
  const isSameFile = note.inode === undefined || note.inode === inode;
  return note.path === path && note.bytes === bytes && note.modified === modified && isSameFile;
}

async function readNote(note: string): Promise<Note | undefined> {
  try {
    return noteSchema.parse(JSON.parse(await readFile(note, 'utf8')));
  } catch {
    return undefined;
  }
}
