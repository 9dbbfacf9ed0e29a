import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DataError, isAbort, refuseStandIn, STAND_IN_BYTES, systemFault, throwIfAborted } from '../system/index.ts';

/** One line of a text file, without its end. */
export interface TextLine {
  text: string;
  /** 1-based. */
  line: number;
  /** Where it begins in the file, in bytes; undefined if the file is compressed. */
  start: number | undefined;
}

export interface ReadLinesOptions {
  signal?: AbortSignal | undefined;
  /** A longer line is an error, so that no file can exhaust memory. Counted after decompression. */
  maxLineBytes?: number | undefined;
}

/** The name of the process's own input, on every system. */
export const STANDARD_INPUT = '/dev/stdin';

const MAX_LINE_BYTES = 256 * 1024 * 1024;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Reads a UTF-8 text file line by line in constant memory. Gzip is recognised by its first bytes and decompressed, a byte order
 * mark is dropped, and lines may end in LF or CR LF. Blank lines are omitted, but counted.
 *
 * @throws DataError if the file is missing or something else, if bytes are not UTF-8, if gzip is damaged or cut, or if a line is
 * too long
 */
export async function* readLines(file: string, options: ReadLinesOptions = {}): AsyncGenerator<TextLine> {
  for await (const lines of readLineBatches(file, options)) {
    for (const line of lines) yield line;
  }
}

/** Like {@link readLines}, but some hundred lines at a time: for files of short lines, in which waiting for each one takes too long. */
export async function* readLineBatches(file: string, options: ReadLinesOptions = {}): AsyncGenerator<TextLine[]> {
  const cutter = new LineCutter(file, options.maxLineBytes);
  const { stream, isCompressed } = await openPlain(file);
  const decode = (parts: Iterable<Buffer>) => decodeLines(parts, cutter, file, isCompressed);
  try {
    for await (const chunk of stream) {
      throwIfAborted(options.signal);
      const { lines, fault } = decode(cutter.push(chunk));
      if (lines.length > 0) yield lines;
      if (fault !== undefined) throw fault;
    }
  } catch (error) {
    throw isAbort(error) ? error : readFault(error, file, cutter.line);
  } finally {
    stream.destroy();
  }
  const { lines, fault } = decode([cutter.rest()]);
  if (lines.length > 0) yield lines;
  if (fault !== undefined) throw fault;
}

/** Returns the lines before the first fault, so that they are not lost. */
function decodeLines(
  parts: Iterable<Buffer>,
  cutter: LineCutter,
  file: string,
  isCompressed: boolean,
): { lines: TextLine[]; fault: unknown } {
  const lines: TextLine[] = [];
  try {
    for (const bytes of parts) {
      const text = decodeLine(bytes, file, cutter.line);
      const start = isCompressed ? undefined : cutter.start + (hasByteOrderMark(bytes, cutter.line) ? 3 : 0);
      if (text.trim() !== '') lines.push({ text, line: cutter.line, start });
    }
  } catch (fault) {
    return { lines, fault };
  }
  return { lines, fault: undefined };
}

/** Opens a stream of the file's bytes, decompressed if they are gzip. Works with pipes too. */
async function openPlain(file: string): Promise<{ stream: Readable; isCompressed: boolean }> {
  let bytes: Readable;
  try {
    // The process's own input may be a socket, which cannot be opened by name.
    bytes = file === STANDARD_INPUT ? process.stdin : createReadStream(file, { highWaterMark: 1 << 18 });
    await once(bytes, 'readable');
  } catch (error) {
    throw systemFault(error, file);
  }
  const start = peek(bytes);
  if (start[0] !== 0x1f || start[1] !== 0x8b) return { stream: refuseStandInOf(bytes, file), isCompressed: false };
  const plain = createGunzip({ chunkSize: 1 << 18 });
  // The error reaches the reader through `plain`, which the pipeline destroys with it.
  pipeline(bytes, plain, () => {});
  try {
    await once(plain, 'readable');
  } catch (error) {
    throw readFault(error, file, 1);
  }
  return { stream: refuseStandInOf(plain, file), isCompressed: true };
}

/** Returns the first bytes of a readable stream without consuming them. */
function peek(stream: Readable): Buffer {
  const start: Buffer | null = stream.read();
  if (start !== null) stream.unshift(start);
  return start ?? Buffer.alloc(0);
}

function refuseStandInOf(stream: Readable, file: string): Readable {
  try {
    refuseStandIn(peek(stream).subarray(0, STAND_IN_BYTES), file);
  } catch (error) {
    stream.destroy();
    throw error;
  }
  return stream;
}

function readFault(error: unknown, file: string, line: number): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!code.startsWith('Z_')) return systemFault(error, file);
  const cut = code === 'Z_BUF_ERROR';
  return new DataError(cut ? 'the gzip data end too early' : 'the gzip data are broken', {
    file,
    line,
    fix: 'Download or compress the file again: it is damaged from about this line on.',
    cause: error,
  });
}

/** Splits chunks of bytes into lines at the line feeds, and keeps the unfinished rest. */
export class LineCutter {
  readonly #file: string;
  readonly #limit: number;
  #rest: Buffer[] = [];
  #restBytes = 0;
  #end = 0;
  /** Where the line that was returned last begins, in bytes. */
  start = 0;
  /** Number of the line that was returned last, or that is being read; 1-based. */
  line = 1;

  constructor(file: string, limit = MAX_LINE_BYTES) {
    this.#file = file;
    this.#limit = limit;
  }

  /** Yields the lines that this chunk completes, without their line feeds. @throws DataError if a line is too long */
  *push(chunk: Buffer): Generator<Buffer> {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      this.#keep(chunk.subarray(start, end));
      start = end + 1;
      yield this.rest();
      this.line++;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** Returns and removes the bytes after the last line feed. */
  rest(): Buffer {
    const [first = Buffer.alloc(0)] = this.#rest;
    const whole = this.#rest.length > 1 ? Buffer.concat(this.#rest) : first;
    this.#rest = [];
    this.#restBytes = 0;
    this.start = this.#end;
    this.#end += whole.length + 1;
    return whole;
  }

  #keep(part: Buffer): void {
    this.#rest.push(part);
    this.#restBytes += part.length;
    if (this.#restBytes <= this.#limit) return;
    throw new DataError(`the line is longer than ${this.#limit} bytes`, {
      file: this.#file,
      line: this.line,
      fix: 'Check that this is the right file, with one record per line.',
    });
  }
}

/**
 * Returns the text of one line, without a carriage return at its end and without a byte order mark before the first line.
 * @throws DataError if the bytes are not UTF-8
 */
export function decodeLine(bytes: Buffer, file: string, line: number): string {
  const start = hasByteOrderMark(bytes, line) ? 3 : 0;
  const end = bytes.length > start && bytes[bytes.length - 1] === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length;
  if (!isUtf8(bytes)) {
    throw new DataError('the line is not UTF-8', { file, line, fix: 'Save the file in UTF-8.' });
  }
  return bytes.toString('utf8', start, end);
}

function hasByteOrderMark(bytes: Buffer, line: number): boolean {
  return line === 1 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK);
}
