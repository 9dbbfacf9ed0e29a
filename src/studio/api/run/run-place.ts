import { lstat, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { RequestError } from '../../../serve/index.ts';
import { isInsideFolder } from '../../../system/index.ts';

/** Returns the folder of a run. @throws RequestError if the name is not that of a folder among the runs */
export async function runPlace(runs: string, name: string): Promise<string> {
  const folder = join(runs, name);
  const isName = isInsideFolder(name) && !name.includes('/');
  if (isName && (await lstat(folder).catch(() => undefined))?.isDirectory()) return folder;
  throw new RequestError(404, `there is no run ${JSON.stringify(name.slice(0, 100))}`, {
    fix: 'Go to the list of runs.',
  });
}

/**
 * Returns the path of a file in the folder of a run. Names come from the address or from a record in that folder, which may be
 * somebody else's: neither a name nor a link leads out.
 * @throws RequestError if there is no such file inside
 */
export async function fileInside(folder: string, name: string): Promise<string> {
  const missing = new RequestError(404, `the run has no file ${JSON.stringify(name.slice(0, 200))}`, {
    fix: 'Go back to the run.',
  });
  if (!isInsideFolder(name)) throw missing;
  const [root, path] = await Promise.all([realpath(folder), realpath(join(folder, name))]).catch(() => {
    throw missing;
  });
  if (!path.startsWith(`${root}${sep}`) || !(await lstat(path)).isFile()) throw missing;
  return path;
}
