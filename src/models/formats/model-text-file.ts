import { readFile, stat } from 'node:fs/promises';
import { ModelError, refuseStandIn, STAND_IN_BYTES } from '../../system/index.ts';
import { missingModel } from './tensor-file.ts';

/** Larger than any text file of a known model (Gemma's tokenizer.json has 33 MB). */
const LARGEST_TEXT = 500_000_000;

/**
 * A text file that a model may have or not.
 * @returns undefined where there is no such file
 * @throws ModelError if it is absurdly large or something else stands in its place; ResourceError where it cannot be read
 */
export async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size > LARGEST_TEXT) {
      throw new ModelError(`is too large for a text file of a model (${size} bytes)`, {
        file,
        fix: 'Fetch the file again.',
      });
    }
    const bytes = await readFile(file);
    refuseStandIn(bytes.subarray(0, STAND_IN_BYTES), file, ModelError);
    return bytes.toString('utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw missingModel(error, file);
  }
}

/**
 * A JSON file that a model must have.
 * @throws ModelError if it is missing, no JSON, or something else stands in its place
 */
export async function readModelJson(file: string): Promise<unknown> {
  const text = await readIfPresent(file);
  if (text === undefined) throw new ModelError('no such file', { file, fix: 'Name the folder of a whole model.' });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ModelError('is not JSON', { file, fix: 'Fetch the file again.', cause });
  }
}
