import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { damagedIndex, readIfWhole, readPart, writeParts } from './file-parts.ts';
import { type InvertedLists, termNumbers } from './inverted-lists.ts';
import { postingLayout, saturationOf } from './postings.ts';

/** Increase it when the layout of the file, or any number in it, changes. */
export const LISTS_FORMAT = 3;

const headerSchema = z.object({
  format: z.literal(LISTS_FORMAT),
  key: z.string(),
  /** Bytes of the JSON array of ids, then of that of the terms. */
  idBytes: z.int().nonnegative(),
  termBytes: z.int().nonnegative(),
  documents: z.int().nonnegative(),
  fields: z.int().positive().max(255),
  terms: z.int().nonnegative(),
  postings: z.int().nonnegative(),
  saturations: z.int().nonnegative(),
});
type Header = z.output<typeof headerSchema>;

/** The header is padded with blanks to this length. */
const HEADER_BYTES = 512;

/**
 * Layout: header, ids, terms, then the arrays in the order of {@link InvertedLists}; numbers little-endian.
 * @throws ResourceError
 */
export async function writeInvertedLists(
  path: string,
  key: string,
  lists: InvertedLists,
  signal?: AbortSignal,
): Promise<void> {
  const ids = Buffer.from(JSON.stringify(lists.ids));
  const terms = Buffer.from(JSON.stringify(lists.terms));
  const header: Header = {
    format: LISTS_FORMAT,
    key,
    idBytes: ids.length,
    termBytes: terms.length,
    documents: lists.ids.length,
    fields: lists.fields.length,
    terms: lists.terms.length,
    postings: lists.postings.entries.length,
    saturations: lists.denominators.length,
  };
  const head = Buffer.from(JSON.stringify(header).padEnd(HEADER_BYTES));
  const { fieldOf, starts, idf, frequencies, denominators } = lists;
  const { entries, saturations = new Uint16Array(0) } = lists.postings;
  const parts = [head, ids, terms, fieldOf, starts, idf, entries, saturations, frequencies, denominators];
  await writeParts(path, parts, signal);
}

/** Reads the lists of a file. Returns undefined if it is missing, damaged, or another index. @throws AbortedError */
export function readInvertedLists(path: string, key: string, signal?: AbortSignal): Promise<InvertedLists | undefined> {
  return readIfWhole(path, (file) => readListsFrom(file, key, signal));
}

/** Reads the lists of an open file. @throws DataError, SyntaxError or ZodError if it is damaged, or another index */
export async function readListsFrom(
  file: FileHandle,
  key: string,
  signal: AbortSignal | undefined,
): Promise<InvertedLists> {
  const { size } = await file.stat();
  const header = headerSchema.parse(JSON.parse((await readPart(file, 0, HEADER_BYTES, signal)).toString()));
  const { idBytes, termBytes, documents, terms, postings, saturations } = header;
  const { bits, apart } = postingLayout({ documents, saturations });
  const whole =
    HEADER_BYTES + idBytes + termBytes + terms + 4 * (terms + 1) + 4 * terms + (4 + apart) * postings + 8 * saturations;
  if (header.key !== key || size !== whole) throw damagedIndex();
  let at = HEADER_BYTES;
  const next = async (bytes: number) => {
    const part = await readPart(file, at, bytes, signal);
    at += bytes;
    return part;
  };
  const numbers = async (count: number) => (await next(4 * count)).buffer;
  const strings = z.array(z.string());
  const ids = strings.length(documents).parse(JSON.parse((await next(idBytes)).toString()));
  const words = strings.length(terms).parse(JSON.parse((await next(termBytes)).toString()));
  const fieldOf = new Uint8Array((await next(terms)).buffer);
  if (fieldOf.some((field) => field >= header.fields)) throw damagedIndex();
  const lists: InvertedLists = {
    ids,
    terms: words,
    fieldOf,
    fields: termNumbers(words, fieldOf, header.fields),
    starts: new Uint32Array(await numbers(terms + 1)),
    idf: new Float32Array(await numbers(terms)),
    postings: {
      entries: new Uint32Array(await numbers(postings)),
      bits,
      saturations: apart === 0 ? undefined : saturationsIn((await next(apart * postings)).buffer, apart),
    },
    frequencies: new Uint32Array(await numbers(saturations)),
    denominators: new Float32Array(await numbers(saturations)),
  };
  checkNumbers(lists);
  return lists;
}

function saturationsIn(buffer: ArrayBufferLike, width: 2 | 4): Uint16Array | Uint32Array {
  return width === 4 ? new Uint32Array(buffer) : new Uint16Array(buffer);
}

/** Checks for numbers out of range: they would make a search fail or, worse, find the wrong document. */
function checkNumbers({ ids, terms, starts, postings, denominators }: InvertedLists): void {
  const { entries, bits } = postings;
  const ascending = starts.every((start, at) => at === 0 || start >= starts[at - 1]!);
  const inside = entries.every((entry) => entry >>> bits < ids.length);
  const known = entries.every((_entry, at) => saturationOf(postings, at) < denominators.length);
  if (!ascending || !inside || !known || starts[terms.length] !== entries.length) throw damagedIndex();
}
