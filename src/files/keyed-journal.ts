import type { z } from 'zod';
import { ResourceError } from '../system/index.ts';
import { Journal } from './journal.ts';
import { LineIndex, LineReader } from './line-index.ts';

/**
 * A {@link Journal} whose records are found by a key. Only their positions are in memory. Several records may have the same key;
 * records that were appended since it was opened are not found.
 */
export class KeyedJournal<T> {
  readonly #journal: Journal<T>;
  readonly #schema: z.ZodType<T>;
  readonly #index: LineIndex;
  readonly #reader: LineReader;
  readonly #keyOf: (record: T) => string;

  private constructor(journal: Journal<T>, schema: z.ZodType<T>, index: LineIndex, keyOf: (record: T) => string) {
    [this.#journal, this.#schema, this.#index, this.#keyOf] = [journal, schema, index, keyOf];
    this.#reader = new LineReader(journal.file);
  }

  /**
   * Opens or creates a journal. The process that has it open is the only one.
   * @throws DataError if a line before the last is broken; ResourceError if another process has it open
   */
  static async open<T>(file: string, schema: z.ZodType<T>, keyOf: (record: T) => string): Promise<KeyedJournal<T>> {
    const index = new LineIndex();
    const journal = await Journal.open(file, schema, {
      keyOf,
      isWhole: () => true,
      onGroup: ([record], _line, start) => index.add(keyOf(record!), start),
    });
    return new KeyedJournal(journal, schema, index, keyOf);
  }

  get file(): string {
    return this.#journal.file;
  }

  /** Returns the records with this key, in the order of the file. @throws ResourceError */
  async find(key: string): Promise<T[]> {
    const found: T[] = [];
    for (const start of this.#index.startsOf(key)) {
      const record = await this.#read(start);
      if (this.#keyOf(record) === key) found.push(record);
    }
    return found;
  }

  /** Appends a record; see {@link Journal.append}. */
  async append(record: T): Promise<void> {
    await this.#journal.append(record);
  }

  /** Flushes the journal and releases it. */
  async close(): Promise<void> {
    await this.#reader.close();
    await this.#journal.close();
  }

  async #read(start: number): Promise<T> {
    const text = await this.#reader.read(start);
    try {
      return this.#schema.parse(JSON.parse(text));
    } catch (cause) {
      throw new ResourceError('another process changed the journal while it was read', {
        file: this.file,
        fix: 'Stop other processes that write this file, and run the command again.',
        cause,
      });
    }
  }
}
