import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { refuseStandIn, STAND_IN_BYTES, systemFault } from '../system/index.ts';

/** Makes the error of a file that is no JSON, or not what it should be. */
export type BrokenJson = (cause: unknown) => Error;

/**
 * Reads a small JSON file and checks it.
 * @throws DataError if it is missing or something else stands in its place; ResourceError; what `broken` makes
 */
export async function readJsonFile<T>(file: string, schema: z.ZodType<T>, broken: BrokenJson): Promise<T> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  return parse(bytes, file, schema, broken);
}

/** As {@link readJsonFile}, of a file that may be there or not. @returns undefined where it is not */
export async function readJsonFileIfThere<T>(
  file: string,
  schema: z.ZodType<T>,
  broken: BrokenJson,
): Promise<T | undefined> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  });
  return bytes === undefined ? undefined : parse(bytes, file, schema, broken);
}

function parse<T>(bytes: Buffer, file: string, schema: z.ZodType<T>, broken: BrokenJson): T {
  refuseStandIn(bytes.subarray(0, STAND_IN_BYTES), file);
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw broken(cause);
  }
}
