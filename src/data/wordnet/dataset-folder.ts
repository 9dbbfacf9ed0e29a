import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError, replaceFolder, sha256File, systemFault, UsageError, writeDurably } from '../../system/index.ts';
import { type WordnetManifest, wordnetManifest } from './settings.ts';

const MANIFEST = 'manifest.json';

/**
 * Looks at what stands in the folder of a data set.
 *
 * @returns its manifest when it is whole and has the settings asked for; undefined when it is to be made
 * @throws UsageError when it is something else, and must not be replaced
 * @throws DataError when it was changed after it was made
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
    throw new UsageError('the folder holds something else than a data set of this command', {
      file: folder,
      fix: 'Name an empty or a new folder.',
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
      fix: 'Name another folder, or replace it with --force.',
    });
  }
  const differing = Object.entries(settings).filter(([name, value]) => Reflect.get(found.settings, name) !== value);
  if (differing.length > 0) {
    const list = differing.map(([name, value]) => `${name} ${Reflect.get(found.settings, name)}, not ${value}`);
    throw new UsageError(`the data set was made with other settings: ${list.join('; ')}`, {
      file: folder,
      fix: 'Name another folder, or replace it with --force.',
    });
  }
  await refuseChanged(folder, found, options.signal);
  return found;
}

/** The whole folder gives way to the new data set: what did not come from this command must not go with it. */
async function refuseOtherFiles(folder: string, manifest: unknown): Promise<void> {
  const { files } = z.object({ files: z.record(z.string(), z.unknown()).catch({}) }).parse(manifest);
  const own = new Set([MANIFEST, ...Object.keys(files)].map((name) => join(folder, name)));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const other = entries.find((entry) => !entry.isDirectory() && !own.has(join(entry.parentPath, entry.name)));
  if (other === undefined) return;
  throw new UsageError('does not belong to the data set, and would be deleted with it', {
    file: join(other.parentPath, other.name),
    fix: 'Move it away, or name another folder.',
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
 * Writes a whole data set at once: into a neighbour of the folder, which then takes its name. The manifest is written
 * beside the files. A cut at any point leaves the old folder, or none under the name, and then the next call gives the
 * old one its name back.
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
