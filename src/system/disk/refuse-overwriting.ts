import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import { fileIdentity } from './output-target.ts';

/** The files of one command, each under the words with which users know it (`--run-out`, `the corpus`). */
export interface CommandFiles {
  /** Files that are read. A folder here means only the folder itself. */
  inputs?: Readonly<Record<string, string | undefined>>;
  /** Folders that are read completely: no output may be in them. */
  inputFolders?: Readonly<Record<string, string | undefined>>;
  /** Files that are written. */
  outputs?: Readonly<Record<string, string | undefined>>;
  /** Folders that are replaced completely: no input may be one of them or be in one. */
  outputFolders?: Readonly<Record<string, string | undefined>>;
  /** What to do instead. Default: choose another file. */
  fix?: string;
}

/**
 * Refuses outputs that would overwrite an input or one another, through any links and second names, and outputs that are folders.
 * @throws UsageError
 */
export async function refuseOverwriting({
  inputs = {},
  inputFolders = {},
  outputs = {},
  outputFolders = {},
  fix = 'Choose another file.',
}: CommandFiles): Promise<void> {
  const taken = new Map<string, string>();
  for (const [name, path] of given(inputs)) taken.set(await fileIdentity(path), name);
  for (const [name, path] of given(outputs)) {
    await refuseFolder(name, path);
    for (const [folder, place] of given(inputFolders)) {
      if (await liesIn(path, place)) throw refusal(`${name} would write into ${folder}`, path, fix);
    }
    if (await isStream(path)) continue;
    const identity = await fileIdentity(path);
    const other = taken.get(identity);
    if (other !== undefined) throw refusal(`${name} would overwrite ${other}`, path, fix);
    taken.set(identity, name);
  }
  for (const [name, place] of given(outputFolders)) {
    for (const [input, path] of given(inputs)) {
      const isThere = await stat(path).catch(() => undefined);
      if (isThere && (await liesIn(path, place))) {
        throw new UsageError(`${name} would replace ${input}`, { file: place, fix: 'Choose another folder.' });
      }
    }
  }
}

function given(files: Readonly<Record<string, string | undefined>>): [string, string][] {
  return Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined);
}

function refusal(reason: string, file: string, fix: string): UsageError {
  return new UsageError(reason, { file, fix });
}

async function refuseFolder(name: string, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new UsageError(`${name} is a folder`, { file: path, fix: 'Use a file inside it.' });
}

/** Several outputs may go to one device or pipe, one after another. */
async function isStream(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && !found.isFile();
}

/** Returns whether a path is a folder or inside it. */
async function liesIn(path: string, folder: string): Promise<boolean> {
  const place = await fileIdentity(folder);
  for (let above = resolve(path); ; above = dirname(above)) {
    if ((await fileIdentity(above)) === place) return true;
    if (above === dirname(above)) return false;
  }
}
