import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { contentKey, DataError, describeChanges, packageVersion, writeDurably } from '../system/index.ts';
import { readJsonFileIfThere } from './json-file.ts';
import { asRecorded, OtherSettingsError } from './recorded-settings.ts';

/** The manifest next to a growing file of records: everything that decides the file's content. */
const manifestSchema = z.object({
  /** The kind of work: `candidates`, `answers`. */
  stage: z.string(),
  /** Version of this package that began it. */
  version: z.string(),
  /** Content key of the settings. */
  key: z.string(),
  /** Everything that decides the content of the file; inputs by their hashes. */
  settings: z.record(z.string(), z.unknown()),
  /** Facts for readers that decide nothing. */
  about: z.record(z.string(), z.unknown()),
  /** What the finished file holds; missing while the file grows. */
  result: z.record(z.string(), z.unknown()).optional(),
});
export type StageManifest = z.output<typeof manifestSchema>;

/** Returns the path of a file's manifest: `candidates.manifest.json` for `candidates.jsonl`. */
export function manifestFileOf(file: string): string {
  return `${file.replace(/\.jsonl$/, '')}.manifest.json`;
}

/** Returns the manifest of a file of records; undefined if there is none. @throws DataError if it is broken */
export async function readStageManifest(file: string): Promise<StageManifest | undefined> {
  const path = manifestFileOf(file);
  const fix = 'Restore it, or choose another output.';
  return readJsonFileIfThere(
    path,
    manifestSchema,
    (cause) => new DataError('is not the manifest of a file of records', { file: path, fix, cause }),
  );
}

/** The contents of a new manifest. */
type WantedManifest = Pick<StageManifest, 'stage' | 'settings' | 'about'>;

/** Returns the manifest of work that begins now. */
export function newStageManifest({ stage, settings, about }: WantedManifest): StageManifest {
  const recorded = asRecorded(settings);
  return { stage, version: packageVersion(), key: contentKey(recorded), settings: recorded, about };
}

export interface AgreementOptions {
  /** Names of settings that may differ. */
  mayChange?: readonly string[] | undefined;
  /** The fix if the file was made with other settings. */
  fix?: string | undefined;
}

/**
 * Decides whether work on a file may continue: it may if the file was begun with the same settings or does not exist.
 *
 * @returns the manifest to write with {@link writeStageManifest} once the file is locked, and whether a file with exactly these
 * settings (including those that may change) was begun
 * @throws OtherSettingsError that names the changes; DataError if the manifest is missing or broken
 */
export async function agreeOnSettings(
  file: string,
  wanted: WantedManifest,
  { mayChange = [], fix }: AgreementOptions = {},
): Promise<{ manifest: StageManifest; isSame: boolean }> {
  const manifest = newStageManifest(wanted);
  const found = await readStageManifest(file);
  if (found === undefined) {
    const size = await stat(file).then(
      (facts) => facts.size,
      () => 0,
    );
    if (size === 0) return { manifest, isSame: false };
    throw new DataError('the file holds records, but no manifest says how they were made', {
      file,
      fix: fix ?? `Restore ${manifestFileOf(file)}, or choose another output.`,
    });
  }
  const changes = changesOf(found, manifest, mayChange);
  if (changes.length > 0) throw new OtherSettingsError(file, changes, fix);
  return { manifest: { ...manifest, version: found.version }, isSame: found.key === manifest.key };
}

function changesOf(found: StageManifest, wanted: StageManifest, mayChange: readonly string[]): string[] {
  const [before, after] = [found, wanted].map(({ stage, settings, about }) => {
    const compared = Object.entries(settings).filter(([name]) => !mayChange.includes(name));
    return { by: about.generator, stage, ...Object.fromEntries(compared) };
  });
  const changes = describeChanges(before, after);
  // A model's file may be renamed: its name is information only.
  if (changes.every((change) => change.startsWith('by: '))) return [];
  return changes.map((change) =>
    change
      .replace(/^format: (.*), now/, 'made by another version of llm-qe: format $1, now')
      // The digits of a hash are of no use to a reader.
      .replace(
        /^generator: "[0-9a-f]{40,}.*$/,
        'generator: another model, adapter, chat template or variable of it, or device, or one thread instead of several',
      ),
  );
}

/** Writes the manifest next to the file. @throws ResourceError */
export async function writeStageManifest(file: string, manifest: StageManifest): Promise<void> {
  await writeDurably(manifestFileOf(file), `${JSON.stringify(manifest, null, 1)}\n`);
}
