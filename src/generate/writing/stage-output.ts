import type { z } from 'zod';
import { IdSet, Journal, readJsonl } from '../../files/index.ts';
import { DataError, DurableFile } from '../../system/index.ts';
import type { StageQuery } from './query-set.ts';

/** Where the records of a stage go, query by query. */
export interface StageOutput<Q extends StageQuery, T> {
  /** Queries whose records were found. */
  readonly found: number;
  has(queryId: string): boolean;
  append(query: Q, records: readonly T[]): Promise<void>;
  /** When the records of all queries are there. */
  commit(): Promise<void>;
  /** Gives up what was not committed. */
  close(): Promise<void>;
}

/** What a file of records holds. */
export interface RecordLayout<T> {
  /** What one record is, in the plural. */
  unit: string;
  schema: z.ZodType<T>;
  idOf(record: T): string;
  recordsPerQuery: number;
  /** Told of the records of each query that were found. */
  onFound(records: readonly T[]): void;
}

/**
 * One file that grows under its own name, by whole queries.
 * @throws DataError for a file that is broken, or holds a query twice
 */
export async function openGrowingOutput<Q extends StageQuery, T>(
  file: string,
  { unit, schema, idOf, recordsPerQuery, onFound }: RecordLayout<T>,
): Promise<StageOutput<Q, T>> {
  const finished = new IdSet();
  const journal = await Journal.open(file, schema, {
    keyOf: idOf,
    isWhole: (records) => records.length === recordsPerQuery,
    onGroup: (records, line) => {
      const id = idOf(records[0]!);
      if (!finished.add(id)) {
        throw new DataError(`the ${unit} of this query stand here twice`, {
          ...{ file, line, id },
          fix: 'Remove one of the two, or name another output.',
        });
      }
      onFound(records);
    },
  });
  const found = finished.size;
  return {
    found,
    has: (id) => finished.has(id),
    append: (_query, records) => journal.appendAll(records),
    commit: () => journal.close(),
    close: () => journal.close(),
  };
}

/** A file of an output that appears whole. */
export interface WholeFile<Q, T> {
  path: string;
  /** The lines of one query. */
  linesOf(query: Q, records: readonly T[]): readonly unknown[];
}

/**
 * Files that appear under their names together, when all of them are whole.
 * @param layout of the first file; given where the files are whole already, and have only to be read
 * @throws DataError for a file that is broken; ResourceError
 */
export async function openWholeOutput<Q extends StageQuery, T>(
  files: readonly WholeFile<Q, T>[],
  layout: RecordLayout<T> | undefined,
): Promise<StageOutput<Q, T>> {
  if (layout !== undefined) return readWholeOutput(files[0]!.path, layout);
  const writers = await Promise.all(files.map(({ path }) => PieceWriter.create(path)));
  let isOpen = true;
  const end = async (work: (writer: PieceWriter) => Promise<void>): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    for (const writer of writers) await work(writer);
  };
  return {
    found: 0,
    has: () => false,
    async append(query, records) {
      for (const [row, { linesOf }] of files.entries()) await writers[row]!.write(linesOf(query, records));
    },
    commit: () => end((writer) => writer.commit()),
    close: () => end((writer) => writer.discard()),
  };
}

async function readWholeOutput<Q extends StageQuery, T>(
  file: string,
  { schema, idOf, recordsPerQuery, onFound }: RecordLayout<T>,
): Promise<StageOutput<Q, T>> {
  const finished = new IdSet();
  let group: T[] = [];
  for await (const { value } of readJsonl(file, schema)) {
    group.push(value);
    if (group.length < recordsPerQuery) continue;
    finished.add(idOf(value));
    onFound(group);
    group = [];
  }
  const nothing = async (): Promise<void> => {};
  return {
    ...{ found: finished.size, has: (id) => finished.has(id) },
    ...{ append: nothing, commit: nothing, close: nothing },
  };
}

/** Lines are handed to the file in pieces of about this many characters. */
const PIECE = 1 << 18;

class PieceWriter {
  readonly #file: DurableFile;
  #piece = '';

  private constructor(file: DurableFile) {
    this.#file = file;
  }

  static async create(path: string): Promise<PieceWriter> {
    return new PieceWriter(await DurableFile.create(path));
  }

  async write(records: readonly unknown[]): Promise<void> {
    for (const record of records) this.#piece += `${JSON.stringify(record)}\n`;
    if (this.#piece.length >= PIECE) await this.#flush();
  }

  async commit(): Promise<void> {
    await this.#flush();
    await this.#file.commit();
  }

  async discard(): Promise<void> {
    await this.#file.discard();
  }

  async #flush(): Promise<void> {
    const piece = this.#piece;
    this.#piece = '';
    await this.#file.write(piece);
  }
}
