import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { replaceFolder, systemFault, UsageError } from '../../system/index.ts';

/**
 * Writes a folder that appears only when it is complete: the files go into a temporary folder next to it, which is then
 * renamed. An existing folder is replaced if it holds only files with the given names.
 * @param replaceable the names that may be overwritten; if there are none, the folder must be new or empty
 * @param fill writes the files durably into the given folder
 * @throws UsageError if other files are in the folder; ResourceError; whatever `fill` throws
 */
export async function writeFolder(
  folder: string,
  replaceable: readonly string[],
  fill: (fresh: string) => Promise<void>,
): Promise<void> {
  const target = resolve(folder);
  await checkReplaceable(target, replaceable);
  await replaceFolder(target, fill);
}

async function checkReplaceable(folder: string, replaceable: readonly string[]): Promise<void> {
  const names = await readdir(folder).catch((error: unknown): string[] => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw systemFault(error, folder);
  });
  const inTheWay = names.find((name) => !replaceable.includes(name));
  if (inTheWay === undefined) return;
  throw new UsageError(`already holds other files (${inTheWay})`, { file: folder, fix: 'Choose a new folder.' });
}
