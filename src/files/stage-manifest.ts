import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { contentKey, DataError, packageVersion, writeDurably } from '../system/index.ts';
import { readJsonFileIfThere } from './json-file.ts';
import { asRecorded, refuseOtherSettings } from './recorded-settings.ts';

/** What a growing file of records was made from: all that decides its content, beside the file. */
const manifestSchema = z.object({
  /** What made the file: `candidates`, `answers`. */
  stage: z.string(),
  /** Version of this package that began it. */
  version: z.string(),
  /** Content key of the settings. */
  key: z.string(),
  /** All that decides the content of the file, inputs by their hashes. */
  settings: z.record(z.string(), z.unknown()),
  /** Facts for people, which decide nothing. */
  about: z.record(z.string(), z.unknown()),
  /** What the finished file holds; missing while it grows. */
  result: z.record(z.string(), z.unknown()).optional(),
});
export type StageManifest = z.output<typeof manifestSchema>;

/** Where the manifest of `candidates.jsonl` stands: `candidates.manifest.json` beside it. */
export function manifestFileOf(file: string): string {
  return `${file.replace(/\.jsonl$/, '')}.manifest.json`;
}

/** The manifest of a file of records; undefined where there is none. @throws DataError for one that is broken */
export async function readStageManifest(file: string): Promise<StageManifest | undefined> {
  const path = manifestFileOf(file);
  const fix = 'Restore it, or name another output.';
  return readJsonFileIfThere(
    path,
    manifestSchema,
    (cause) => new DataError('is not the manifest of a file of records', { file: path, fix, cause }),
  );
}

/**
 * Says whether work on a file may go on: it may where the file was begun with the same settings, or is not there.
 *
 * @returns the manifest to write with {@link writeStageManifest} once the file is locked
 * @throws OtherSettingsError saying what changed; DataError where the manifest is missing or broken
 */
export async function agreeOnSettings(
  file: string,
  wanted: Pick<StageManifest, 'stage' | 'settings' | 'about'>,
): Promise<StageManifest> {
  const settings = asRecorded(wanted.settings);
  const manifest = { ...wanted, settings, version: packageVersion(), key: contentKey(settings) };
  const found = await readStageManifest(file);
  if (found === undefined) {
    const size = await stat(file).then(
      (facts) => facts.size,
      () => 0,
    );
    if (size === 0) return manifest;
    throw new DataError('the file holds records, but no manifest says how they were made', {
      file,
      fix: `Restore ${manifestFileOf(file)}, or name another output.`,
    });
  }
  refuseOtherSettings(file, { stage: found.stage, ...found.settings }, { stage: wanted.stage, ...settings });
  return { ...manifest, version: found.version };
}

/** Writes the manifest beside the file. @throws ResourceError */
export async function writeStageManifest(file: string, manifest: StageManifest): Promise<void> {
  await writeDurably(manifestFileOf(file), `${JSON.stringify(manifest, null, 1)}\n`);
}
