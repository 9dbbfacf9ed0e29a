import { readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { ResourceError } from './errors.ts';

/** Where the bytes of an output go. */
export interface OutputTarget {
  /** A link is followed: the file it leads to is the one that is written. */
  path: string;
  /** A device or a pipe takes bytes as they come; anything else appears under its name when it is whole. */
  isStream: boolean;
}

/** Longer chains of links are circles for the system as well. */
const MOST_LINKS = 40;

/**
 * What stands, or will, under the name of an output.
 * @throws ResourceError for links in a circle
 */
export async function outputTarget(file: string): Promise<OutputTarget> {
  // What the system shows under these names are open files of processes, such as /dev/stdout.
  if (/^\/(dev|proc)\//.test(resolve(file))) return { path: file, isStream: true };
  const found = await stat(file).catch(() => undefined);
  if (found !== undefined && !found.isFile() && !found.isDirectory()) return { path: file, isStream: true };
  return { path: await followLinks(file), isStream: false };
}

/** A link may lead to a file that is not there yet. */
async function followLinks(file: string): Promise<string> {
  let path = file;
  for (let links = 0; links < MOST_LINKS; links++) {
    const next = await readlink(path).catch(() => undefined);
    if (next === undefined) return path;
    path = isAbsolute(next) ? next : join(dirname(path), next);
  }
  throw new ResourceError('the path holds links that lead in a circle', { file, fix: 'Name the place itself.' });
}

/**
 * What tells a file or folder from all others: its number on its disk, which links and second names share; for one that
 * is not there, its name in the folder as it is without links.
 */
export async function fileIdentity(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  if (found !== undefined) return `${found.dev}:${found.ino}`;
  const target = resolve(await followLinks(resolve(file)));
  const folder = dirname(target);
  return folder === target ? target : join(await realPlace(folder), basename(target));
}

async function realPlace(folder: string): Promise<string> {
  const real = await realpath(folder).catch(() => undefined);
  if (real !== undefined) return real;
  const above = dirname(folder);
  return above === folder ? folder : join(await realPlace(above), basename(folder));
}
