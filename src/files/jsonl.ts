import type { z } from 'zod';
import { DataError, DurableFile } from '../system/index.ts';
import { readLines, type TextLine } from './lines.ts';

/**
 * Reads a JSONL file as a stream, in constant memory. Gzip, a byte order mark, CR LF and blank lines are accepted.
 *
 * @throws DataError that names file, line and reason if a line is not JSON or does not match the schema
 */
export async function* readJsonl<T>(
  file: string,
  schema: z.ZodType<T>,
  signal?: AbortSignal,
): AsyncGenerator<{ value: T } & Omit<TextLine, 'text'>> {
  for await (const { text, line, start } of readLines(file, { signal })) {
    yield { value: parseJsonLine(text, schema, file, line), line, start };
  }
}

/** Parses one record from the text of one line. @throws DataError */
export function parseJsonLine<T>(text: string, schema: z.ZodType<T>, file: string, line: number): T {
  const result = checkRecord(parseJson(text, file, line), schema, file, line);
  if (result.success) return result.data;
  throw new DataError(describeIssues(result.error), {
    file,
    line,
    fix: 'Correct the named fields of this line.',
  });
}

/** A recursive schema overflows the stack on a record that was made for that. */
function checkRecord<T>(record: unknown, schema: z.ZodType<T>, file: string, line: number) {
  try {
    return schema.safeParse(record);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new DataError('the record is nested too deeply', { file, line, fix: 'Fix or remove this line.', cause });
  }
}

/** Parses the text of one line. @throws DataError if it is not JSON */
export function parseJson(text: string, file: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DataError(`not valid JSON: ${(error as Error).message}`, {
      file,
      line,
      fix: 'Fix or remove this line. A JSONL file holds one complete JSON object per line.',
      cause: error,
    });
  }
}

/** Returns a schema's complaints on one line, each with its field. */
export function describeIssues(error: z.ZodError): string {
  const issues = error.issues.map(({ path, message }) => {
    const field = path.map(String).join('.');
    const words = plainWords(message);
    return field === '' ? words : `${field}: ${words}`;
  });
  return issues.join('; ');
}

/** A schema's complaint in words for someone who does not know JavaScript. */
export function plainWords(message: string): string {
  return message
    .replace(/^Invalid input: expected (.*), received undefined$/, 'is missing (expected $1)')
    .replace(/^Invalid input: expected/, 'expected');
}

/** Text is written to the file in pieces of about this many characters. */
const WRITE_PIECE = 1 << 18;

/**
 * Writes one JSON object per line. The file appears under its name only when it is complete.
 *
 * @returns the number of lines
 * @throws ResourceError if the disk is full or the path cannot be written
 */
export async function writeJsonl(file: string, records: Iterable<unknown> | AsyncIterable<unknown>): Promise<number> {
  return writeLines(file, jsonTexts(records));
}

async function* jsonTexts(records: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const record of records) yield JSON.stringify(record);
}

/** Writes lines of text (without their line ends) durably, as {@link writeJsonl} does. */
export async function writeLines(file: string, lines: Iterable<string> | AsyncIterable<string>): Promise<number> {
  const output = await DurableFile.create(file);
  let count = 0;
  try {
    let piece = '';
    for await (const line of lines) {
      piece += `${line}\n`;
      count++;
      if (piece.length < WRITE_PIECE) continue;
      await output.write(piece);
      piece = '';
    }
    await output.write(piece);
  } catch (error) {
    await output.discard();
    throw error;
  }
  await output.commit();
  return count;
}
