import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Document, documentSchema, passageId } from '../data/index.ts';
import { parseJsonLine, readAhead, readFully } from '../files/index.ts';
import { type InvertedLists, readListsFrom, type VectorSource } from '../search/index.ts';
import { DataError, isAbort, systemFault } from '../system/index.ts';
import type { SegmentFacts } from './manifest.ts';
import { decodeTable, type SegmentTable } from './segment-table.ts';

/** The files of a segment. All are complete when the segment appears, and never change. */
export const SEGMENT_FILES = {
  documents: 'documents.jsonl',
  ids: 'ids.json',
  table: 'table.bin',
  vectors: 'vectors.f32',
  lists: 'bm25.lists',
} as const;
export type SegmentFile = keyof typeof SEGMENT_FILES;

/** A document's text is read with those of its neighbours if they are this near. */
const LINES_AT_ONCE = 256;

/**
 * Documents of an index, with their vectors and their BM25 lists. Its files stay open: on POSIX systems it can be read to the end, even
 * after it was merged into another segment and removed.
 */
export class Segment {
  readonly facts: SegmentFacts;
  /** By document number. */
  readonly ids: readonly string[];
  readonly table: SegmentTable;
  readonly #folder: string;
  readonly #handles: ReadonlyMap<SegmentFile, FileHandle>;

  private constructor(
    folder: string,
    facts: SegmentFacts,
    handles: ReadonlyMap<SegmentFile, FileHandle>,
    content: { ids: readonly string[]; table: SegmentTable },
  ) {
    [this.#folder, this.facts, this.#handles] = [folder, facts, handles];
    [this.ids, this.table] = [content.ids, content.table];
  }

  /** @throws DataError if a file is missing or damaged */
  static async open(index: string, facts: SegmentFacts): Promise<Segment> {
    const folder = join(index, facts.name);
    const handles = new Map<SegmentFile, FileHandle>();
    try {
      for (const name of Object.keys(SEGMENT_FILES) as SegmentFile[]) {
        const bytes = facts.bytes[name];
        if (bytes === undefined) continue;
        const file = join(folder, SEGMENT_FILES[name]);
        const handle = await open(file, 'r').catch((error: unknown) => {
          throw systemFault(error, file);
        });
        handles.set(name, handle);
        const { size } = await handle.stat();
        if (size !== bytes) throw damaged(file, `has ${size} bytes instead of ${bytes}`);
      }
      const ids = await readIds(handles.get('ids'), join(folder, SEGMENT_FILES.ids), facts.documents);
      const tableFile = join(folder, SEGMENT_FILES.table);
      const bytes = (await handles.get('table')?.readFile()) ?? Buffer.alloc(0);
      const table = decodeTable(bytes, facts.documents, facts.rows, tableFile);
      await handles.get('ids')?.close();
      await handles.get('table')?.close();
      for (const name of ['ids', 'table'] as const) handles.delete(name);
      return new Segment(folder, facts, handles, { ids, table });
    } catch (error) {
      for (const handle of handles.values()) await handle.close().catch(() => {});
      throw error;
    }
  }

  /** Reads the lines of some documents, ascending, without line ends. */
  async *lines(numbers: Iterable<number>): AsyncGenerator<{ number: number; line: string }> {
    const { starts } = this.table;
    let some: number[] = [];
    const read = async () => {
      const [first, last] = [starts[some[0]!]!, starts[some.at(-1)! + 1]!];
      const bytes = Buffer.alloc(last - first);
      await this.#fill('documents', bytes, first);
      return some.map((number) => {
        const line = bytes.toString('utf8', starts[number]! - first, starts[number + 1]! - first - 1);
        return { number, line };
      });
    };
    for (const number of numbers) {
      if (some.length > 0 && (number !== some.at(-1)! + 1 || some.length === LINES_AT_ONCE)) {
        yield* await read();
        some = [];
      }
      some.push(number);
    }
    if (some.length > 0) yield* await read();
  }

  /** Reads some documents, ascending. */
  async *documents(numbers: Iterable<number>): AsyncGenerator<Document> {
    const file = this.#path('documents');
    for await (const { number, line } of this.lines(numbers))
      yield parseJsonLine(line, documentSchema, file, number + 1);
  }

  /**
   * All its vectors, those of deleted documents too.
   * @param inPassages whether they are of passages
   */
  vectors(dimensions: number, inPassages: boolean): VectorSource {
    const { rows } = this.table;
    const documentOf = (row: number) => {
      let [low, high] = [0, this.ids.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >>> 1;
        if (rows[middle]! <= row) low = middle;
        else high = middle - 1;
      }
      return low;
    };
    const id = (row: number) => {
      if (!inPassages) return this.ids[row]!;
      const document = documentOf(row);
      return passageId(this.ids[document]!, row - rows[document]!);
    };
    const read = async (start: number, end: number) => this.readVectors(start, end, dimensions);
    const count = this.facts.rows;
    return {
      ...{ rows: count, dimensions, id },
      async *chunks(rowsPerChunk, signal) {
        const parts = readAhead(count, rowsPerChunk, read, signal);
        for await (const { start, part: vectors } of parts) yield { start, vectors };
      },
    };
  }

  /** Reads the vectors from a row up to, not including, another // [end - start, dimensions] */
  async readVectors(start: number, end: number, dimensions: number): Promise<Float32Array> {
    const vectors = new Float32Array((end - start) * dimensions);
    await this.#fill('vectors', new Uint8Array(vectors.buffer), start * dimensions * 4);
    return vectors;
  }

  /** Its BM25 lists, with deleted documents. @throws DataError */
  async lists(signal?: AbortSignal): Promise<InvertedLists> {
    const file = this.#path('lists');
    const handle = this.#handles.get('lists');
    if (handle === undefined) throw damaged(file, 'is missing');
    return readListsFrom(handle, this.facts.hash, signal).catch((error: unknown) => {
      if (isAbort(error)) throw error;
      throw damaged(file, 'is damaged', error);
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#handles.values()].map((handle) => handle.close()));
  }

  #path(name: SegmentFile): string {
    return join(this.#folder, SEGMENT_FILES[name]);
  }

  async #fill(name: SegmentFile, bytes: Uint8Array, position: number): Promise<void> {
    const file = this.#path(name);
    const handle = this.#handles.get(name);
    if (handle === undefined) throw damaged(file, 'is missing');
    const isWhole = await readFully(handle, bytes, position).catch((error: unknown) => {
      throw systemFault(error, file);
    });
    if (!isWhole) throw damaged(file, 'was truncated after it was opened');
  }
}

async function readIds(handle: FileHandle | undefined, file: string, documents: number): Promise<string[]> {
  const bytes = await handle?.readFile();
  try {
    return z
      .array(z.string())
      .length(documents)
      .parse(JSON.parse(String(bytes)));
  } catch (cause) {
    throw damaged(file, 'does not hold the ids of the segment', cause);
  }
}

function damaged(file: string, what: string, cause?: unknown): DataError {
  return new DataError(what, { file, fix: 'Build the index again: `llm-qe index build` into another folder.', cause });
}
