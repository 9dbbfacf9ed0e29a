import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError, replaceFolder, sha256File, systemFault, UsageError, writeDurably } from '../../system/index.ts';
import { type WordnetManifest, wordnetManifest } from './settings.ts';

const MANIFEST = 'manifest.json';

/**
 * Examines the folder of a data set.
 *
 * @returns its manifest if it is complete and has the requested settings; undefined if it must be made
 * @throws UsageError if it holds something else, which must not be replaced
 * @throws DataError if it was changed after it was made
 */
export async function findDataset(
  folder: string,
  settings: WordnetManifest['settings'],
  options: { force: boolean; signal?: AbortSignal | undefined },
): Promise<WordnetManifest | undefined> {
  const names = await readdir(folder).catch((error: unknown): string[] => {
    const fault = systemFault(error, folder);
    if (fault instanceof DataError) return [];
    throw fault;
  });
  if (names.length === 0) return undefined;
  const written = names.includes(MANIFEST) ? await readJson(join(folder, MANIFEST)) : undefined;
  if (!z.object({ kind: z.literal('wordnet') }).safeParse(written).success) {
    throw new UsageError('the folder holds something other than a data set of this command', {
      file: folder,
      fix: 'Choose an empty or a new folder.',
    });
  }
  if (options.force) {
    await refuseOtherFiles(folder, written);
    return undefined;
  }
  const found = wordnetManifest.safeParse(written).data;
  if (found === undefined) {
    throw new UsageError('the data set was made by another version of this program', {
      file: folder,
      fix: 'Choose another folder, or replace this one with --force.',
    });
  }
  const differing = Object.entries(settings).filter(([name, value]) => Reflect.get(found.settings, name) !== value);
  if (differing.length > 0) {
    const list = differing.map(([name, value]) => `${name} ${Reflect.get(found.settings, name)}, not ${value}`);
    throw new UsageError(`the data set was made with other settings: ${list.join('; ')}`, {
      file: folder,
      fix: 'Choose another folder, or replace this one with --force.',
    });
  }
  await refuseChanged(folder, found, options.signal);
  return found;
}

/** The new data set replaces the complete folder, so the folder must not hold files that this command did not write. */
async function refuseOtherFiles(folder: string, manifest: unknown): Promise<void> {
  const { files } = z.object({ files: z.record(z.string(), z.unknown()).catch({}) }).parse(manifest);
  const own = new Set([MANIFEST, ...Object.keys(files)].map((name) => join(folder, name)));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const other = entries.find((entry) => !entry.isDirectory() && !own.has(join(entry.parentPath, entry.name)));
  if (other === undefined) return;
  throw new UsageError('does not belong to the data set, and would be deleted with it', {
    file: join(other.parentPath, other.name),
    fix: 'Move it elsewhere, or choose another folder.',
  });
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw systemFault(error, file);
  }
}

async function refuseChanged(
  folder: string,
  { files }: WordnetManifest,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const [name, expected] of Object.entries(files)) {
    const found = await sha256File(join(folder, name), signal).catch((error: unknown) => {
      if (error instanceof DataError) return 'missing';
      throw error;
    });
    if (found === expected) continue;
    throw new DataError('was changed or removed after the data set was made', {
      file: join(folder, name),
      fix: 'Make the data set again with --force.',
    });
  }
}

/**
 * Writes a complete data set at once: into a neighbouring folder, which is then renamed. The manifest is written with the files. An
 * interruption at any point leaves the old folder, or no folder under the name; in that case the next call restores the old one.
 *
 * @param files relative name → content
 */
export async function writeDataset(
  folder: string,
  files: ReadonlyMap<string, string>,
  manifest: WordnetManifest,
): Promise<void> {
  await replaceFolder(folder, async (fresh) => {
    for (const [name, content] of files) await writeDurably(join(fresh, name), content);
    await writeDurably(join(fresh, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  });
}
