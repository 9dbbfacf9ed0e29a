import { readdir, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { readJsonFileIfThere, refuseOtherSettings } from '../../files/index.ts';
import { DataError, replaceFolder, systemFault, UsageError, writeDurably } from '../../system/index.ts';

/** The file in an exported folder that tells what it was made from. */
export const EXPORT_NOTE = 'llm-qe-export.json';
/** Increase this if equal inputs give other files. */
const FORMAT = 1;

const noteSchema = z.object({
  /** Everything that decides the files: inputs by their hashes. */
  settings: z.record(z.string(), z.unknown()),
  /** Size in bytes of each file. */
  files: z.record(z.string(), z.number()),
});

/**
 * Writes a folder that appears only when it is complete, with a note of what it was made from. If it exists and was made from the
 * same, nothing is done.
 * @param settings everything that decides the files, as plain JSON
 * @param fill writes the files durably into the given folder
 * @returns whether the folder was written
 * @throws OtherSettingsError if it was made from something else; UsageError if other files are in it; whatever `fill` throws
 */
export async function writeNotedFolder(
  folder: string,
  settings: Readonly<Record<string, unknown>>,
  fill: (fresh: string) => Promise<void>,
): Promise<boolean> {
  const target = resolve(folder);
  const made = { format: FORMAT, ...settings };
  const note = await readNote(target);
  const present = await sizesOf(target);
  if (note !== undefined) refuseOtherSettings(folder, note.settings, made, OTHERWISE);
  const foreign = Object.keys(present).find(
    (name) => note === undefined || !(name in note.files || name === EXPORT_NOTE),
  );
  if (foreign !== undefined) {
    throw new UsageError(`already holds other files (${foreign})`, { file: folder, fix: 'Choose a new folder.' });
  }
  if (note !== undefined && Object.entries(note.files).every(([name, bytes]) => present[name] === bytes)) return false;
  await replaceFolder(target, async (fresh) => {
    await fill(fresh);
    const text = JSON.stringify({ settings: made, files: await sizesOf(fresh) }, null, 1);
    await writeDurably(join(fresh, EXPORT_NOTE), `${text}\n`);
  });
  return true;
}

const OTHERWISE = 'Choose a new folder, or remove this one to replace it.';

function readNote(folder: string): Promise<z.output<typeof noteSchema> | undefined> {
  const file = join(folder, EXPORT_NOTE);
  return readJsonFileIfThere(
    file,
    noteSchema,
    (cause) => new DataError('is not the note of an export', { file, fix: OTHERWISE, cause }),
  );
}

/** Returns the size of each file below a folder, by its path; nothing if there is no folder. */
async function sizesOf(folder: string): Promise<Record<string, number>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw systemFault(error, folder);
  });
  const files = entries.filter((entry) => !entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name));
  const sizes = await Promise.all(
    files.map(async (file) => [relative(folder, file), (await stat(file)).size] as const),
  );
  return Object.fromEntries(sizes);
}
