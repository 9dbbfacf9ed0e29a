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

/** Maximum time before lines are flushed to disk, in milliseconds. */
const SYNC_INTERVAL = 3000;

/** How the records of a {@link Journal} form groups. */
export interface JournalGroups<T> {
  /** Returns the key of a record's group. Records of one group are next to one another. */
  keyOf(record: T): string;
  /** Returns whether these records are the complete group. */
  isWhole(records: readonly T[]): boolean;
  /**
   * Receives each complete group in the file, once. The journal itself keeps nothing.
   * @param line of its last record
   * @param start where its first record begins, in bytes
   * @throws DataError to refuse it
   */
  onGroup(records: readonly T[], line: number, start: number): void;
}

/** A group whose end has not been read yet. */
interface OpenGroup<T> {
  key: string;
  records: T[];
  /** Where it begins, in bytes. */
  start: number;
}

/**
 * Finished work as an append-only JSONL file. A line is passed to the operating system before {@link append} resolves, so `kill -9`
 * loses at most the line being written. The disk is flushed every few seconds and on {@link close}. If the last line was cut in
 * half, it is dropped when the journal is opened again.
 */
export class Journal<T> {
  readonly file: string;
  /** Every record of the journal: the existing ones, then the appended ones. Empty for a journal of groups. */
  readonly records: T[] = [];
  readonly #keep: boolean;
  readonly #handle: FileHandle;
  readonly #unlock: () => Promise<void>;
  readonly #timer: NodeJS.Timeout;
  /** Length of the complete lines, in bytes. */
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
   * @param groups makes it a journal of groups, for files that do not fit into memory: each complete group is passed on and
   * forgotten, and a last group that was cut is dropped completely
   * @throws DataError if a line before the last is broken, or if a group before the last is incomplete; ResourceError if another
   * process writes this journal
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
   * Writes one record as one line. Appends may overlap; they are written in the order of the calls. If it throws, the record is not
   * in the journal and the lines before it are complete.
   *
   * @throws ResourceError if the disk is full
   */
  async append(record: T): Promise<void> {
    return this.appendAll([record]);
  }

  /** Writes the records of one group at once. See {@link append}. */
  async appendAll(records: readonly T[]): Promise<void> {
    const lines = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    return this.#enqueue(async () => {
      this.#refuseClosed();
      await this.#writeLines(lines);
      if (this.#keep) this.records.push(...records);
    });
  }

  /** Waits until every record so far is on the disk: not even a loss of power takes it back. @throws ResourceError */
  async flush(): Promise<void> {
    return this.#enqueue(() => this.#flush());
  }

  /** Flushes to disk and releases the lock. A second call does nothing. */
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

  /** Adds a record to the open group, or opens one. Passes the group on when it is complete. */
  #joinGroup(
    groups: JournalGroups<T>,
    before: OpenGroup<T> | undefined,
    record: T,
    { start, line }: { start: number; line: number },
  ): OpenGroup<T> | undefined {
    const key = groups.keyOf(record);
    if (before !== undefined && before.key !== key) {
      throw new DataError('the group of records before this line is incomplete', {
        file: this.file,
        line,
        id: before.key,
        fix: 'The file was edited by hand. Remove the records of this id, or choose another file.',
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
      // The part that was written is removed. If even that fails, the next opening of the journal drops it.
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

  /** If a flush fails in the background, the next call reports it. */
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

/** Returns the journal's file after resolving all links, so that every name of it has the same lock. */
async function regularFile(file: string): Promise<string> {
  const { path, isStream } = await outputTarget(file);
  if (!isStream) return path;
  throw new DataError('is a device or a pipe, but this output must be a file that can be resumed', {
    file,
    fix: 'Use a file.',
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

/** Acquires the journal's lock, or refuses immediately if another process holds it. Returns a function that releases it. */
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
              fix: `Wait until it is done, or choose another output. If no such process runs, delete ${path}.`,
            }),
          );
          refusal.abort();
        },
      },
    );
    scope.catch(refused);
  });
}
