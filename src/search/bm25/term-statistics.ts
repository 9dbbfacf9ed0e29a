import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { IdSet } from '../../files/index.ts';
import { SILENT } from '../../system/index.ts';
import { Breather } from '../breather.ts';
import { damagedIndex, readIfWhole, readPart, writeParts } from './file-parts.ts';
import {
  type BuildOptions,
  doubledId,
  fieldStatistics,
  type IndexedText,
  inverseFrequencies,
  termNumbers,
} from './inverted-lists.ts';
import { TermCounter } from './term-counter.ts';

/** Increase it when the layout of the file, or any number in it, changes. */
export const STATISTICS_FORMAT = 1;

/** What BM25 knows of a whole corpus; its lists are elsewhere. */
export interface TermStatistics {
  /** Row in the corpus → id. */
  ids: string[];
  /** Term number → term. A term that occurs in two fields has two numbers. */
  terms: string[];
  /** The field of each term // [terms] */
  fieldOf: Uint8Array;
  /** Term → its number, for each field // [fields] */
  fields: Map<string, number>[];
  /** Inverse document frequency // [terms] */
  idf: Float32Array;
  /** Mean number of terms of the documents with at least one // [fields] */
  averages: number[];
}

/**
 * Reads the documents once and counts them. Memory holds the ids, the terms, and a number for each field of a document.
 * @throws DataError for a duplicate id
 * @throws AbortedError
 */
export async function collectStatistics(
  texts: AsyncIterable<IndexedText>,
  { analyzer, fields, signal, progress = SILENT, count }: Omit<BuildOptions, 'k1' | 'b'>,
): Promise<TermStatistics> {
  const breather = new Breather(signal);
  const counter = new TermCounter(analyzer, fields);
  const [ids, lengths, holders]: [string[], number[], number[]] = [[], [], []];
  const seen = new IdSet();
  const task = progress.task('counting terms', count, 'documents');
  try {
    for await (const { id, texts: fieldTexts } of texts) {
      if (!seen.add(id)) throw doubledId(id);
      ids.push(id);
      for (let field = 0; field < fields; field++) {
        const { counts, length } = counter.count(field, fieldTexts[field]!);
        for (const term of counts.keys()) holders[term] = (holders[term] ?? 0) + 1;
        lengths.push(length);
      }
      task.advance(1);
      if (breather.due) await breather.rest();
    }
  } finally {
    task.done();
  }
  const { terms, fieldOf } = counter;
  const statistics = counter.fields.map((_terms, field) => fieldStatistics(lengths, field, fields));
  return {
    ...{ ids, terms, fieldOf: Uint8Array.from(fieldOf), fields: counter.fields },
    idf: inverseFrequencies(holders, fieldOf, statistics),
    averages: statistics.map(({ average }) => average),
  };
}

const headerSchema = z.object({
  format: z.literal(STATISTICS_FORMAT),
  key: z.string(),
  idBytes: z.int().nonnegative(),
  termBytes: z.int().nonnegative(),
  documents: z.int().nonnegative(),
  terms: z.int().nonnegative(),
  averages: z.array(z.number().positive()).min(1).max(255),
});

/** The header is padded with blanks to this length. */
const HEADER_BYTES = 8192;

/** Layout: header, ids, terms, fields of the terms, idf; numbers little-endian. @throws ResourceError */
export async function writeStatistics(path: string, key: string, statistics: TermStatistics, signal?: AbortSignal) {
  const { averages, fieldOf, idf } = statistics;
  const ids = Buffer.from(JSON.stringify(statistics.ids));
  const terms = Buffer.from(JSON.stringify(statistics.terms));
  const header: z.output<typeof headerSchema> = {
    ...{ format: STATISTICS_FORMAT, key, idBytes: ids.length, termBytes: terms.length },
    ...{ documents: statistics.ids.length, terms: statistics.terms.length, averages },
  };
  const head = Buffer.from(JSON.stringify(header).padEnd(HEADER_BYTES));
  await writeParts(path, [head, ids, terms, fieldOf, idf], signal);
}

/** Reads the statistics of a file. Returns undefined if it is missing, damaged, or another one. @throws AbortedError */
export function readStatistics(path: string, key: string, signal?: AbortSignal): Promise<TermStatistics | undefined> {
  return readIfWhole(path, (file) => readFrom(file, key, signal));
}

async function readFrom(file: FileHandle, key: string, signal: AbortSignal | undefined): Promise<TermStatistics> {
  const { size } = await file.stat();
  const header = headerSchema.parse(JSON.parse((await readPart(file, 0, HEADER_BYTES, signal)).toString()));
  const { idBytes, termBytes, documents, averages } = header;
  if (header.key !== key || size !== HEADER_BYTES + idBytes + termBytes + 5 * header.terms) throw damagedIndex();
  let at = HEADER_BYTES;
  const next = async (bytes: number) => {
    const part = await readPart(file, at, bytes, signal);
    at += bytes;
    return part;
  };
  const strings = z.array(z.string());
  const ids = strings.length(documents).parse(JSON.parse((await next(idBytes)).toString()));
  const terms = strings.length(header.terms).parse(JSON.parse((await next(termBytes)).toString()));
  const fieldOf = new Uint8Array((await next(terms.length)).buffer);
  if (fieldOf.some((field) => field >= averages.length)) throw damagedIndex();
  const idf = new Float32Array((await next(4 * terms.length)).buffer);
  return { ids, terms, fieldOf, fields: termNumbers(terms, fieldOf, averages.length), idf, averages };
}
