import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { LineIndex, LineReader, parseJsonLine, readJsonl } from '../../../files/index.ts';

/** Finds records of a file by id, in whatever order they are: the rewards of candidates, the texts of queries. Keeps the index of one file. */
export class RecordsById<T> {
  readonly #schema: z.ZodType<T>;
  readonly #field: string;
  readonly #idOf: (record: T) => string;
  #known: { key: string; index: Promise<LineIndex> } | undefined;

  /**
   * @param field of a line that holds the id
   * @param idOf the same of a record
   */
  constructor(schema: z.ZodType<T>, field: string, idOf: (record: T) => string) {
    [this.#schema, this.#field, this.#idOf] = [schema, field, idOf];
  }

  /** Returns the records that there are, by id. */
  async find(path: string, ids: Iterable<string>): Promise<Map<string, T>> {
    const index = await this.#indexOf(path);
    const reader = new LineReader(path);
    const found = new Map<string, T>();
    try {
      for (const id of new Set(ids)) {
        for (const start of index.startsOf(id)) {
          const record = parseJsonLine(await reader.read(start), this.#schema, path, 0);
          // The index tells ids apart by 64 bits.
          if (this.#idOf(record) === id) found.set(id, record);
        }
      }
    } finally {
      await reader.close();
    }
    return found;
  }

  async #indexOf(path: string): Promise<LineIndex> {
    const { size, mtimeMs, ino } = await stat(path);
    const key = `${path} ${ino} ${size} ${mtimeMs}`;
    if (this.#known?.key !== key) this.#known = { key, index: this.#read(path) };
    const { index } = this.#known;
    index.catch(() => {
      this.#known = undefined;
    });
    return index;
  }

  async #read(path: string): Promise<LineIndex> {
    const index = new LineIndex();
    const idSchema = z.object({ [this.#field]: z.string() });
    for await (const { value, start } of readJsonl(path, idSchema)) index.add(value[this.#field]!, start ?? 0);
    return index;
  }
}
