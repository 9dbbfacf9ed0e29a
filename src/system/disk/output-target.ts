import { readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { ResourceError } from '../errors.ts';

/** The target of an output. */
export interface OutputTarget {
  /** The path to write: the target of a link, if the output is one. */
  path: string;
  /** A device or a pipe receives bytes as they come; any other file appears under its name when it is complete. */
  isStream: boolean;
}

/** The system also treats longer chains of links as circular. */
const MOST_LINKS = 40;

/**
 * Returns what is, or will be, under the name of an output.
 * @throws ResourceError if links are circular
 */
export async function outputTarget(file: string): Promise<OutputTarget> {
  // These names are open files of processes, such as /dev/stdout.
  if (/^\/(dev|proc)\//.test(resolve(file))) return { path: file, isStream: true };
  const found = await stat(file).catch(() => undefined);
  if (found !== undefined && !found.isFile() && !found.isDirectory()) return { path: file, isStream: true };
  return { path: await followLinks(file), isStream: false };
}

/** A link may lead to a file that does not exist yet. */
async function followLinks(file: string): Promise<string> {
  let path = file;
  for (let links = 0; links < MOST_LINKS; links++) {
    const next = await readlink(path).catch(() => undefined);
    if (next === undefined) return path;
    path = isAbsolute(next) ? next : join(dirname(path), next);
  }
  throw new ResourceError('the path holds circular links', { file, fix: 'Use the real path.' });
}

/**
 * Identifies a file or folder: by its number on its disk, which links and second names share; if it does not exist, by its name in
 * the resolved folder.
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
