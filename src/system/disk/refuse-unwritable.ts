import { access, constants, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ResourceError, systemFault, UsageError } from '../errors.ts';
import { outputTarget } from './output-target.ts';

/**
 * Refuses outputs that cannot be written, before any work: a folder of the path is a file, or may not be written to, or the name
 * is not possible. Nothing is made.
 * @param outputs paths by the words with which users know them (`--run-out`)
 * @throws UsageError, ResourceError
 */
export async function refuseUnwritable(outputs: Readonly<Record<string, string | undefined>>): Promise<void> {
  for (const [name, path] of Object.entries(outputs)) {
    if (path === undefined) continue;
    const target = await outputTarget(path);
    if (await isThere(target.path)) await refuseForbidden(name, target.path);
    else if (!target.isStream) await refuseFolderOf(name, target.path);
  }
}

async function refuseFolderOf(name: string, path: string): Promise<void> {
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    const found = await statOf(folder);
    if (found === undefined && folder !== dirname(folder)) continue;
    if (found?.isDirectory() === false) {
      const fix = 'Choose another path, or move that file away.';
      throw new UsageError(`${name}: ${folder} is a file, not a folder`, { file: path, fix });
    }
    return refuseForbidden(name, folder);
  }
}

async function refuseForbidden(name: string, path: string): Promise<void> {
  await access(path, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'EROFS' ? 'is on a disk that can only be read' : 'may not be written to';
    throw new ResourceError(`${name}: ${why}`, { file: path, fix: 'Change its permissions, or choose another path.' });
  });
}

async function isThere(path: string): Promise<boolean> {
  return (await statOf(path)) !== undefined;
}

/** A folder on the path may be a file: that is found on the way up. */
async function statOf(path: string) {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw systemFault(error, path);
  });
}
