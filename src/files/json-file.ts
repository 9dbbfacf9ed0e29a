import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { systemFault } from '../system/index.ts';

/** Makes the error of a file that is no JSON, or not what it should be. */
export type BrokenJson = (cause: unknown) => Error;

/** Reads a small JSON file and checks it. @throws DataError where it is missing; ResourceError; what `broken` makes */
export async function readJsonFile<T>(file: string, schema: z.ZodType<T>, broken: BrokenJson): Promise<T> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw systemFault(error, file);
  });
  return parse(text, schema, broken);
}

/** As {@link readJsonFile}, of a file that may be there or not. @returns undefined where it is not */
export async function readJsonFileIfThere<T>(
  file: string,
  schema: z.ZodType<T>,
  broken: BrokenJson,
): Promise<T | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  });
  return text === undefined ? undefined : parse(text, schema, broken);
}

function parse<T>(text: string, schema: z.ZodType<T>, broken: BrokenJson): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw broken(cause);
  }
}
