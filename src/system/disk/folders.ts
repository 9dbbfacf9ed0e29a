import { access, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemFault } from '../errors.ts';

/** Returns whether a file or folder exists and is visible. To read a file, read it and handle the error instead. */
export function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * Creates a folder and its parents; does nothing if it exists. Node's own recursive `mkdir` reports a read-only disk as a missing
 * folder, and never ends where nothing can be created (below /proc).
 * @throws ResourceError, DataError
 */
export async function makeFolder(folder: string): Promise<void> {
  const fault = await tryToMake(folder);
  if (fault === undefined) return;
  const parent = dirname(folder);
  if (!('code' in fault) || fault.code !== 'ENOENT' || parent === folder) throw systemFault(fault, folder);
  await makeFolder(parent);
  const again = await tryToMake(folder);
  if (again !== undefined) throw systemFault(again, folder);
}

async function tryToMake(folder: string): Promise<Error | undefined> {
  try {
    await mkdir(folder);
    return undefined;
  } catch (error) {
    const found = await stat(folder).catch(() => undefined);
    return found?.isDirectory() ? undefined : (error as Error);
  }
}

/** Makes a rename survive a power cut. Windows cannot open folders and does not need this. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
