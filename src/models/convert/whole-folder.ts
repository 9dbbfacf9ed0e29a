import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { makeFolder, syncFolder, systemFault, UsageError } from '../../system/index.ts';

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
  const stem = join(dirname(target), `.${basename(target)}.${process.pid}-${randomBytes(4).toString('hex')}`);
  const fresh = `${stem}.partial`;
  try {
    await makeFolder(dirname(target));
    await mkdir(fresh);
    await fill(fresh);
    await swapIn(fresh, target, `${stem}.old`);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw systemFault(error, folder);
  }
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

/** No file system swaps two folders at once: between the two renames neither is under the name, and both are whole. */
async function swapIn(fresh: string, folder: string, aside: string): Promise<void> {
  await syncFolder(fresh);
  const wasThere = await rename(folder, aside).then(
    () => true,
    () => false,
  );
  await rename(fresh, folder).catch(async (error: unknown) => {
    if (wasThere) await rename(aside, folder);
    throw error;
  });
  await syncFolder(dirname(folder));
  if (wasThere) await rm(aside, { recursive: true, force: true });
}
