import { readFile, stat } from 'node:fs/promises';
import { ModelError } from '../../system/index.ts';
import { missingModel } from './tensor-file.ts';

/** Larger than any text file of a known model (Gemma's tokenizer.json has 33 MB). */
const LARGEST_TEXT = 500_000_000;

/**
 * A text file that a model may have or not.
 * @returns undefined where there is no such file
 * @throws ModelError where it is absurdly large; ResourceError where it cannot be read
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
    return (await readFile(file, 'utf8')).replace(/^\ufeff/, '');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw missingModel(error, file);
  }
}
