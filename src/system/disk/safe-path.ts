import { join } from 'node:path';
import { DataError } from '../errors.ts';

/** Longer than any path of a published model or data set. */
const LONGEST_NAME = 1024;

/**
 * Returns whether a name from an untrusted source (a listing, an archive, an index, a manifest) stays inside the folder it is put
 * into, on every operating system: no way up, no absolute path, no drive, no backslash, no NUL.
 */
export function isInsideFolder(name: string): boolean {
  if (name === '' || name.length > LONGEST_NAME || name.startsWith('/') || /^[a-z]:/i.test(name)) return false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\\\0-\x1f\x7f]/.test(name)) return false;
  return name.split('/').every((part) => part !== '..' && part !== '.' && part !== '');
}

/**
 * Returns the path of a file inside a folder for a name from an untrusted source. Every such name passes through here before it is
 * written.
 * @throws DataError if the name leads outside
 */
export function placeInside(folder: string, name: string): string {
  if (isInsideFolder(name)) return join(folder, name);
  throw new DataError(`would be written outside its folder, as ${JSON.stringify(name.slice(0, 200))}`, {
    file: folder,
    fix: 'Nothing was written there. Do not trust the source of this name.',
  });
}
