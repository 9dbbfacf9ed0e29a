import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { replaceFolder, systemFault, UsageError } from '../../system/index.ts';

/**
 * Writes a folder that appears under its name when it is whole: files go into a neighbour, which then takes the name. A
 * folder that is there is replaced if it holds nothing but files of the given names.
 * @param replaceable names that may be overwritten; with none, the folder must be new or empty
 * @param fill writes the files, durably, into the folder it is given
 * @throws UsageError where other files are in the way; ResourceError; whatever `fill` throws
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
  throw new UsageError(`holds other files already (${inTheWay})`, { file: folder, fix: 'Name a new folder.' });
}
