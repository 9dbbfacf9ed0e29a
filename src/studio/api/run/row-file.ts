import { stat } from 'node:fs/promises';
import type { z } from 'zod';
import { LineReader, parseJsonLine, readLineBatches } from '../../../files/index.ts';
import { DataError } from '../../../system/index.ts';
import type { Rows } from '../../shapes/runs.ts';

/** Rows of a page of the list. */
export const PAGE_ROWS = 100;
/** A filter stops after so many hits. */
const MOST_HITS = 500;
/** Files whose lines are known: those of two runs, with their rewards. */
const MOST_FILES = 6;

/** Where the lines of a file begin: 8 bytes a line, whatever it holds. */
interface LineStarts {
  starts: Float64Array;
  count: number;
}

/** JSONL files of any length, of which parts are read: by the place of their lines, found in one pass and kept. */
export class RowFiles {
  readonly #known = new Map<string, Promise<LineStarts>>();

  /** Reads some rows. @throws DataError if a line does not fit the schema */
  async page<T>(path: string, schema: z.ZodType<T>, from: number): Promise<Rows<T>> {
    const { starts, count } = await this.#startsOf(path);
    const first = Math.min(from, Math.max(0, count - 1));
    const wanted = starts.subarray(first, Math.min(count, first + PAGE_ROWS));
    return { total: count, from: first, rows: await readAt(path, wanted, schema, first), isCut: false };
  }

  /** Reads the rows that hold a text, whatever its case. The file is read as a stream. */
  async find<T>(
    path: string,
    schema: z.ZodType<T>,
    filter: string,
    from: number,
    signal: AbortSignal,
  ): Promise<Rows<T>> {
    // As JSON writes it: quotes and line ends are escaped there.
    const wanted = JSON.stringify(filter).slice(1, -1).toLowerCase();
    const hits: T[] = [];
    let isCut = false;
    search: for await (const lines of readLineBatches(path, { signal })) {
      for (const { text, line } of lines) {
        if (!text.toLowerCase().includes(wanted)) continue;
        isCut = hits.length === MOST_HITS;
        if (isCut) break search;
        hits.push(parseJsonLine(text, schema, path, line));
      }
    }
    const first = Math.min(from, Math.max(0, hits.length - 1));
    return { total: hits.length, from: first, rows: hits.slice(first, first + PAGE_ROWS), isCut };
  }

  async #startsOf(path: string): Promise<LineStarts> {
    const { size, mtimeMs, ino } = await stat(path);
    const key = `${path} ${ino} ${size} ${mtimeMs}`;
    const known = this.#known.get(key) ?? findStarts(path);
    this.#known.delete(key);
    this.#known.set(key, known);
    known.catch(() => this.#known.delete(key));
    if (this.#known.size > MOST_FILES) this.#known.delete(this.#known.keys().next().value!);
    return known;
  }
}

async function findStarts(path: string): Promise<LineStarts> {
  let starts = new Float64Array(1024);
  let count = 0;
  for await (const lines of readLineBatches(path)) {
    for (const { start } of lines) {
      if (start === undefined) {
        throw new DataError('is compressed', { file: path, fix: 'Unpack it: only then parts of it can be shown.' });
      }
      if (count === starts.length) {
        const longer = new Float64Array(2 * count);
        longer.set(starts);
        starts = longer;
      }
      starts[count++] = start;
    }
  }
  return { starts, count };
}

async function readAt<T>(path: string, starts: Float64Array, schema: z.ZodType<T>, first: number): Promise<T[]> {
  const reader = new LineReader(path);
  try {
    const rows: T[] = [];
    for (const [at, start] of starts.entries()) {
      rows.push(parseJsonLine(await reader.read(start), schema, path, first + at + 1));
    }
    return rows;
  } finally {
    await reader.close();
  }
}
