import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import { DataError, DurableFile, isAbort, systemFault, throwIfAborted } from '../../system/index.ts';
import { type InvertedLists, termNumbers } from './inverted-lists.ts';
import { postingLayout, saturationOf } from './postings.ts';

/** Increase it when the layout of the file, or any number in it, changes. */
export const LISTS_FORMAT = 3;

/** Bytes to read or write at a time. */
const PIECE = 64 * 2 ** 20;

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
  const file = await DurableFile.create(path);
  try {
    const { fieldOf, starts, idf, frequencies, denominators } = lists;
    const { entries, saturations = new Uint16Array(0) } = lists.postings;
    for (const part of [head, ids, terms, fieldOf, starts, idf, entries, saturations, frequencies, denominators]) {
      for (const piece of pieces(part)) {
        throwIfAborted(signal);
        await file.write(piece);
      }
    }
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.commit();
}

/** Reads the lists of a file. Returns undefined if it is missing, damaged, or another index. @throws AbortedError */
export async function readInvertedLists(
  path: string,
  key: string,
  signal?: AbortSignal,
): Promise<InvertedLists | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    return await readListsFrom(file, key, signal);
  } catch (error) {
    if (isAbort(error)) throw error;
    const fault = systemFault(error, path);
    if (fault instanceof DataError || error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw fault;
  } finally {
    await file?.close();
  }
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
  if (header.key !== key || size !== whole) throw damaged();
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
  if (fieldOf.some((field) => field >= header.fields)) throw damaged();
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
  if (!ascending || !inside || !known || starts[terms.length] !== entries.length) throw damaged();
}

/** Reads a part of the file into a separate buffer that threads can share. */
async function readPart(file: FileHandle, start: number, bytes: number, signal: AbortSignal | undefined) {
  const part = Buffer.from(new SharedArrayBuffer(bytes));
  for (let at = 0; at < bytes; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(part, at, Math.min(PIECE, bytes - at), start + at);
    if (bytesRead === 0) throw damaged();
    at += bytesRead;
  }
  return part;
}

function* pieces(part: Uint8Array | Uint16Array | Uint32Array | Float32Array): Generator<Uint8Array> {
  for (let at = 0; at < part.byteLength; at += PIECE) {
    yield new Uint8Array(part.buffer, part.byteOffset + at, Math.min(PIECE, part.byteLength - at));
  }
}

function damaged(): DataError {
  return new DataError('the cached index is incomplete', { fix: 'Delete the file; it is built again.' });
}
