import { readFile } from 'node:fs/promises';
import { DataError, refuseStandIn, STAND_IN_BYTES, systemFault } from '../system/index.ts';

/**
 * Reads a small text file that a user wrote or downloaded: a prompt, a recipe. A byte order mark is dropped.
 * @throws DataError if it is missing, not UTF-8, or something other than a text file; ResourceError
 */
export async function readTextFile(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  refuseStandIn(bytes.subarray(0, STAND_IN_BYTES), file);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DataError('is not UTF-8', { file, fix: 'Save the file in UTF-8.', cause });
  }
}
