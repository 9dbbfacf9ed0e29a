import { join, resolve } from 'node:path';
import { isThere, makeFolder, type Progress, systemFault, withFileLock } from '../../system/index.ts';

interface Place {
  /** The parent folder. */
  folder: string;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Makes `FOLDER/NAME` once, whichever of several processes comes first, and opens it.
 * @param fetchTo makes the folder; called only if it is not there
 */
export async function downloadedFolder<T>(
  name: string,
  { folder: parent, signal, progress }: Place,
  fetchTo: (target: string) => Promise<void>,
  open: (target: string) => Promise<T>,
): Promise<T> {
  const folder = resolve(parent);
  const target = join(folder, name);
  try {
    await makeFolder(folder);
    return await withFileLock(
      `${target}.lock`,
      async () => {
        if (!(await isThere(target))) await fetchTo(target);
        return open(target);
      },
      { signal, progress, what: `downloads ${name}` },
    );
  } catch (error) {
    throw systemFault(error, target);
  }
}
