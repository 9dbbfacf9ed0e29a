import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RequestError } from '../../serve/index.ts';

/** The folder of the studio within that of a run. */
export const OWN_FOLDER = 'studio';

/** A link would lead what is written here into another folder. @throws RequestError */
export async function ownFolder(run: string): Promise<string> {
  const folder = join(run, OWN_FOLDER);
  const refused = new RequestError(409, `${folder} is not a folder of this run`, { fix: 'Remove it.' });
  if (!(await lstat(run)).isDirectory()) throw refused;
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  if (!(await lstat(folder)).isDirectory()) throw refused;
  return folder;
}
