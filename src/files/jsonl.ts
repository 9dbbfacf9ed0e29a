import type { z } from 'zod';
import { DataError, DurableFile } from '../system/index.ts';
import { readLines } from './lines.ts';

/**
 * Reads a JSONL file as a stream, in constant memory. Gzip, a byte order mark, CR LF and blank lines are accepted.
 *
 * @throws DataError naming file, line and reason for a line that is not JSON or does not fit the schema
 */
export async function* readJsonl<T>(
  file: string,
  schema: z.ZodType<T>,
  signal?: AbortSignal,
): AsyncGenerator<{ value: T; line: number }> {
  for await (const { text, line } of readLines(file, { signal })) {
    yield { value: parseJsonLine(text, schema, file, line), line };
  }
}

/** One record out of the text of one line. @throws DataError */
export function parseJsonLine<T>(text: string, schema: z.ZodType<T>, file: string, line: number): T {
  const result = checkRecord(parseJson(text, file, line), schema, file, line);
  if (result.success) return result.data;
  throw new DataError(describeIssues(result.error), {
    file,
    line,
    fix: 'Give this line the fields named, each with a value of the kind expected.',
  });
}

/** A schema that follows every level of a record comes to the end of the stack on one that is made for that. */
function checkRecord<T>(record: unknown, schema: z.ZodType<T>, file: string, line: number) {
  try {
    return schema.safeParse(record);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new DataError('the record is nested too deeply', { file, line, fix: 'Fix or remove this line.', cause });
  }
}

/** What the text of one line says. @throws DataError where it is not JSON */
export function parseJson(text: string, file: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DataError(`not valid JSON: ${(error as Error).message}`, {
      file,
      line,
      fix: 'Fix or remove this line; a JSONL file holds one whole JSON object a line.',
      cause: error,
    });
  }
}

/** A schema's complaints in one line, each with the field that it is about. */
export function describeIssues(error: z.ZodError): string {
  const issues = error.issues.map(({ path, message }) => {
    const field = path.map(String).join('.');
    return field === '' ? message : `${field}: ${message}`;
  });
  return issues.join('; ');
}

/** Text is handed to the file in pieces of about this many characters. */
const WRITE_PIECE = 1 << 18;

/**
 * Writes one JSON object a line; the file appears under its name only when it is whole.
 *
 * @returns the number of lines
 * @throws ResourceError when the disk is full or the place cannot be written
 */
export async function writeJsonl(file: string, records: Iterable<unknown> | AsyncIterable<unknown>): Promise<number> {
  return writeLines(file, jsonTexts(records));
}

async function* jsonTexts(records: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const record of records) yield JSON.stringify(record);
}

/** Writes lines of text (given without their ends) durably, as {@link writeJsonl} does. */
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
