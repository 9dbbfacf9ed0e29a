import { readFile, stat } from 'node:fs/promises';
import { ModelError, refuseStandIn, STAND_IN_BYTES } from '../../system/index.ts';
import { missingModel } from './tensor-file.ts';

/** Larger than any text file of a known model (Gemma's tokenizer.json takes 33 MB). */
const MAX_TEXT_BYTES = 500_000_000;

/**
 * Reads an optional text file of a model.
 * @returns undefined if there is no such file
 * @throws ModelError if it is absurdly large or not a file; ResourceError if it cannot be read
 */
export async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size > MAX_TEXT_BYTES) {
      throw new ModelError(`is too large for a text file of a model (${size} bytes)`, {
        file,
        fix: 'Download the file again.',
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
 * Reads a JSON file that a model must have.
 * @throws ModelError if it is missing, not JSON or not a file
 */
export async function readModelJson(file: string): Promise<unknown> {
  const text = await readIfPresent(file);
  if (text === undefined) throw new ModelError('no such file', { file, fix: 'Choose the folder of a complete model.' });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ModelError('is not JSON', { file, fix: 'Download the file again.', cause });
  }
}
