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

const noteSchema = z.object({
  path: z.string(),
  bytes: z.number(),
  modified: z.number(),
  /** Its number on its disk: a file that was put in its place has another one. */
  inode: z.number().optional(),
  sha256: z.string(),
});
type Note = z.infer<typeof noteSchema>;

export interface HashOptions {
  signal?: AbortSignal | undefined;
  /** Reads the file whatever is remembered. */
  fresh?: boolean | undefined;
  /** Told before a file is read because its hash is not known yet. */
  onRead?: (path: string) => void;
}

/**
 * SHA-256 of files, remembered by path, size, time of change and inode, so that naming the same model again costs no
 * reading. One small note a file, under `HOME/hashes`.
 */
export class FileHashes {
  readonly #folder: string;

  constructor(home: string) {
    this.#folder = MODEL_HASH_CACHE.folder(home);
  }

  /** @throws DataError where the file is missing */
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

  /** Notes what is known of files already, such as those that were hashed on their way. */
  async remember(folder: string, records: readonly FileRecord[]): Promise<void> {
    for (const { path, sha256: known } of records) {
      const state = await stateOf(resolve(folder, path)).catch(() => undefined);
      if (state !== undefined) await this.#write({ ...state, sha256: known });
    }
  }

  #noteOf(file: string): string {
    return join(this.#folder, `${sha256(file)}.json`);
  }

  /** A home that cannot be written costs time at the next call, and nothing else. */
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
