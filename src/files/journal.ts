import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import {
  DataError,
  makeFolder,
  outputTarget,
  ResourceError,
  syncFolder,
  systemFault,
  withFileLock,
} from '../system/index.ts';
import { parseJsonLine } from './jsonl.ts';
import { decodeLine, LineCutter } from './lines.ts';

/** Lines that wait longer than this are flushed to the disk, in milliseconds. */
const SYNC_INTERVAL = 3000;

/** How the records of a {@link Journal} belong together. */
export interface JournalGroups<T> {
  /** Records of one group stand together. */
  keyOf(record: T): string;
  /** Whether these records are all of their group. */
  isWhole(records: readonly T[]): boolean;
  /**
   * Gets each whole group that the file holds, once; the journal itself keeps nothing.
   * @param line of its last record
   * @param start where its first record begins, in bytes
   * @throws DataError to refuse it
   */
  onGroup(records: readonly T[], line: number, start: number): void;
}

/** A group of which the journal's reader has not seen the end yet. */
interface OpenGroup<T> {
  key: string;
  records: T[];
  /** Where it begins, in bytes. */
  start: number;
}

/**
 * Finished work as an append-only JSONL file. A line is handed to the operating system before {@link append} resolves,
 * so that `kill -9` loses at most the line being written; the disk is flushed every few seconds and on
 * {@link close}. A last line that was cut in half is dropped when the journal is opened again.
 */
export class Journal<T> {
  readonly file: string;
  /** Every record of the journal: those found on opening, then those appended. Empty for a journal of groups. */
  readonly records: T[] = [];
  readonly #keep: boolean;
  readonly #handle: FileHandle;
  readonly #unlock: () => Promise<void>;
  readonly #timer: NodeJS.Timeout;
  /** Length of the whole lines, in bytes. */
  #length = 0;
  #dirty = false;
  #closed = false;
  #fault: unknown;
  /** The last append or flush; the next one waits for it. */
  #tail: Promise<void> = Promise.resolve();

  private constructor(file: string, handle: FileHandle, unlock: () => Promise<void>, keep: boolean) {
    this.file = file;
    this.#keep = keep;
    this.#handle = handle;
    this.#unlock = unlock;
    this.#timer = setInterval(() => this.#flushLater(), SYNC_INTERVAL);
    this.#timer.unref();
  }

  /**
   * Opens or creates a journal and reads its records.
   *
   * @param groups makes it a journal of groups, for files that do not fit into memory: each whole group is handed over and
   *   forgotten, and a last group that was cut is dropped whole
   * @throws DataError for a broken line before the last, and for a group before the last that is not whole; ResourceError
   *   when another process writes this journal
   */
  static async open<T>(file: string, schema: z.ZodType<T>, groups?: JournalGroups<T>): Promise<Journal<T>> {
    let unlock: (() => Promise<void>) | undefined;
    let handle: FileHandle | undefined;
    try {
      const path = await regularFile(file);
      await makeFolder(dirname(path));
      unlock = await lock(path);
      handle = await openOrCreate(path);
      const journal = new Journal<T>(file, handle, unlock, groups === undefined);
      await journal.#load(schema, groups).catch((error) => {
        clearInterval(journal.#timer);
        throw error;
      });
      return journal;
    } catch (error) {
      await handle?.close();
      await unlock?.();
      throw systemFault(error, file);
    }
  }

  /**
   * Writes one record as one line. Appends may overlap; they are written in the order of the calls.
   * When it throws, the record is not in the journal and the lines before it are whole.
   *
   * @throws ResourceError when the disk is full
   */
  async append(record: T): Promise<void> {
    return this.appendAll([record]);
  }

  /** Writes the records of one group in one go; see {@link append}. */
  async appendAll(records: readonly T[]): Promise<void> {
    const lines = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    return this.#enqueue(async () => {
      this.#refuseClosed();
      await this.#writeLines(lines);
      if (this.#keep) this.records.push(...records);
    });
  }

  /** Flushes to the disk and gives the lock back. Closing twice does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    clearInterval(this.#timer);
    try {
      await this.#enqueue(() => this.#flush());
    } finally {
      this.#closed = true;
      await this.#handle.close();
      await this.#unlock();
    }
  }

  async #load(schema: z.ZodType<T>, groups: JournalGroups<T> | undefined): Promise<void> {
    const cutter = new LineCutter(this.file);
    let open: OpenGroup<T> | undefined;
    for await (const chunk of this.#handle.createReadStream({ start: 0, autoClose: false })) {
      for (const bytes of cutter.push(chunk)) {
        const start = this.#length;
        this.#length += bytes.length + 1;
        const text = decodeLine(bytes, this.file, cutter.line);
        if (text.trim() === '') continue;
        const record = parseJsonLine(text, schema, this.file, cutter.line);
        if (groups === undefined) this.records.push(record);
        else open = this.#joinGroup(groups, open, record, { start, line: cutter.line });
      }
    }
    if (open !== undefined) this.#length = open.start;
    const { size } = await this.#handle.stat();
    if (size > this.#length) await this.#handle.truncate(this.#length);
  }

  /** Adds a record to the open group, or opens one; hands it over where it is whole. */
  #joinGroup(
    groups: JournalGroups<T>,
    before: OpenGroup<T> | undefined,
    record: T,
    { start, line }: { start: number; line: number },
  ): OpenGroup<T> | undefined {
    const key = groups.keyOf(record);
    if (before !== undefined && before.key !== key) {
      throw new DataError('the records before this line are not whole', {
        file: this.file,
        line,
        id: before.key,
        fix: 'The file was changed by hand: remove the records of this id, or start with another file.',
      });
    }
    const open = before ?? { key, records: [], start };
    open.records.push(record);
    if (!groups.isWhole(open.records)) return open;
    groups.onGroup(open.records, line, open.start);
    return undefined;
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }

  async #writeLines(lines: Buffer): Promise<void> {
    this.#throwFault();
    try {
      for (let done = 0; done < lines.length; ) {
        const { bytesWritten } = await this.#handle.write(lines, done, lines.length - done, this.#length + done);
        done += bytesWritten;
      }
    } catch (error) {
      // What was written of them goes again; if even that fails, opening the journal drops it.
      await this.#handle.truncate(this.#length).catch(() => {});
      throw systemFault(error, this.file);
    }
    this.#length += lines.length;
    this.#dirty = true;
  }

  #flushLater(): void {
    if (!this.#dirty || this.#closed) return;
    this.#enqueue(() => this.#flush()).catch((error) => {
      this.#fault = error;
    });
  }

  async #flush(): Promise<void> {
    this.#throwFault();
    if (!this.#dirty) return;
    this.#dirty = false;
    try {
      await this.#handle.sync();
    } catch (error) {
      throw systemFault(error, this.file);
    }
  }

  /** A flush that failed in the background is reported by the next call. */
  #throwFault(): void {
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault !== undefined) throw fault;
  }

  #refuseClosed(): void {
    if (!this.#closed) return;
    throw new ResourceError('the journal is closed', { file: this.file, fix: 'Open it again before appending.' });
  }
}

/** A journal is read again and goes on: its own file behind all links, so that each name of it has the same lock. */
async function regularFile(file: string): Promise<string> {
  const { path, isStream } = await outputTarget(file);
  if (!isStream) return path;
  throw new DataError('is a device or a pipe, and this output must be a file that can be continued', {
    file,
    fix: 'Name a file.',
  });
}

async function openOrCreate(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const handle = await open(file, 'wx+');
  await syncFolder(dirname(file));
  return handle;
}

/** Takes the journal's lock, or refuses at once where another holds it. Returns what gives it back. */
function lock(file: string): Promise<() => Promise<void>> {
  const path = `${resolve(file)}.lock`;
  const refusal = new AbortController();
  return new Promise((taken, refused) => {
    const scope = withFileLock(
      path,
      () =>
        new Promise<void>((release) => {
          taken(async () => {
            release();
            await scope;
          });
        }),
      {
        signal: refusal.signal,
        onWait: (holder) => {
          refused(
            new ResourceError(`another command writes this file: ${holder}`, {
              file,
              fix: `Wait until it is done, or name another output; if no such process runs, delete ${path}.`,
            }),
          );
          refusal.abort();
        },
      },
    );
    scope.catch(refused);
  });
}
