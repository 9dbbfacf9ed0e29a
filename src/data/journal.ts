import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { DataError, makeFolder, ResourceError, syncFolder, systemFault, withFileLock } from '../system/index.ts';
import { parseJsonLine } from './jsonl.ts';
import { decodeLine, LineCutter } from './lines.ts';

/** Lines that wait longer than this are flushed to the disk, in milliseconds. */
const SYNC_INTERVAL = 3000;

export interface JournalOptions<T> {
  /**
   * Takes each record that is found on opening. The journal then keeps none in memory: for work of which the journal's
   * records would not fit there.
   */
  onFound?: ((record: T) => void) | undefined;
}

/** How the records of a {@link Journal} belong together. */
export interface JournalGroups<T> {
  /** Records of one group stand together. */
  keyOf(record: T): string;
  /** Whether these records are all of their group. */
  isWhole(records: readonly T[]): boolean;
  /** Gets each whole group that the file holds, once; the journal itself keeps nothing. @throws DataError to refuse it */
  onGroup(records: readonly T[], line: number): void;
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
  /** Every record of the journal: those found on opening, then those appended. Empty where `onFound` takes them. */
  readonly records: T[] = [];
  readonly #onFound: ((record: T) => void) | undefined;
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

  private constructor(file: string, handle: FileHandle, unlock: () => Promise<void>, options: JournalOptions<T>) {
    this.file = file;
    this.#onFound = options.onFound;
    this.#handle = handle;
    this.#unlock = unlock;
    this.#timer = setInterval(() => this.#flushLater(), SYNC_INTERVAL);
    this.#timer.unref();
  }

  /**
   * Opens or creates a journal and reads its records.
   *
   * @throws DataError for a broken line before the last; ResourceError when another process writes this journal
   */
  static async open<T>(file: string, schema: z.ZodType<T>, options: JournalOptions<T> = {}): Promise<Journal<T>> {
    let unlock: (() => Promise<void>) | undefined;
    let handle: FileHandle | undefined;
    try {
      await makeFolder(dirname(file));
      unlock = await lock(file);
      handle = await openOrCreate(file);
      const journal = new Journal<T>(file, handle, unlock, options);
      await journal.#load(schema).catch((error) => {
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
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    return this.#enqueue(async () => {
      this.#refuseClosed();
      await this.#writeLine(line);
      if (this.#onFound === undefined) this.records.push(record);
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

  async #load(schema: z.ZodType<T>): Promise<void> {
    const cutter = new LineCutter(this.file);
    for await (const chunk of this.#handle.createReadStream({ start: 0, autoClose: false })) {
      for (const bytes of cutter.push(chunk)) {
        this.#length += bytes.length + 1;
        const text = decodeLine(bytes, this.file, cutter.line);
        if (text.trim() === '') continue;
        const record = parseJsonLine(text, schema, this.file, cutter.line);
        if (this.#onFound === undefined) this.records.push(record);
        else this.#onFound(record);
      }
    }
    const { size } = await this.#handle.stat();
    if (size > this.#length) await this.#handle.truncate(this.#length);
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
    throw new ResourceError('the journal is closed', { file: this.file, mend: 'Open it again before appending.' });
  }
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
            new ResourceError(`another command is writing this file (process and host: ${holder})`, {
              file,
              mend: `Wait until it is done, or name another output; if no such process runs, delete ${path}.`,
            }),
          );
          refusal.abort();
        },
      },
    );
    scope.catch(refused);
  });
}
