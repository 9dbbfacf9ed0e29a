import type { z } from 'zod';
import { IdSet, Journal, RowFile, readJsonl } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import type { StageQuery } from './query-set.ts';

/** Receives the records of a stage, query by query. */
export interface StageOutput<Q extends StageQuery, T> {
  /** Number of queries whose records existed already. */
  readonly found: number;
  has(queryId: string): boolean;
  append(query: Q, records: readonly T[]): Promise<void>;
  /** Finishes the output: call it when the records of all queries are there. */
  commit(): Promise<void>;
  /** Discards what was not committed. */
  close(): Promise<void>;
}

/** How a file holds records. */
export interface RecordLayout<T> {
  /** What one record is, in the plural. */
  unit: string;
  schema: z.ZodType<T>;
  idOf(record: T): string;
  recordsPerQuery: number;
  /** Called with the records of each query that existed already. */
  onFound(records: readonly T[]): void;
}

/**
 * Opens one file that grows under its final name, by complete queries.
 * @throws DataError if the file is broken or holds a query twice
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
        throw new DataError(`the file holds the ${unit} of this query twice`, {
          ...{ file, line, id },
          fix: 'Remove one of the two, or choose another output.',
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

/** One file of an output that appears only when complete. */
export interface WholeFile<Q, T> {
  path: string;
  /** Returns the lines of one query. */
  linesOf(query: Q, records: readonly T[]): readonly unknown[];
}

/**
 * Opens files that appear under their names together, when all of them are complete.
 * @param layout of the first file; passed if the files are complete already and only have to be read
 * @throws DataError if a file is broken; ResourceError
 */
export async function openWholeOutput<Q extends StageQuery, T>(
  files: readonly WholeFile<Q, T>[],
  layout: RecordLayout<T> | undefined,
): Promise<StageOutput<Q, T>> {
  if (layout !== undefined) return readWholeOutput(files[0]!.path, layout);
  const writers = await Promise.all(files.map(({ path }) => RowFile.create(path)));
  let isOpen = true;
  const end = async (work: (writer: RowFile) => Promise<void>): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    for (const writer of writers) await work(writer);
  };
  return {
    found: 0,
    has: () => false,
    async append(query, records) {
      for (const [row, { linesOf }] of files.entries()) {
        for (const line of linesOf(query, records)) await writers[row]!.write(JSON.stringify(line));
      }
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
