import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { contentKey, DataError, describeChanges, packageVersion, writeDurably } from '../system/index.ts';
import { readJsonFileIfThere } from './json-file.ts';
import { asRecorded, OtherSettingsError } from './recorded-settings.ts';

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

/** What a manifest is made of. */
type WantedManifest = Pick<StageManifest, 'stage' | 'settings' | 'about'>;

/** The manifest of work that begins now. */
export function newStageManifest({ stage, settings, about }: WantedManifest): StageManifest {
  const recorded = asRecorded(settings);
  return { stage, version: packageVersion(), key: contentKey(recorded), settings: recorded, about };
}

export interface AgreementOptions {
  /** Names of settings that may differ. */
  mayChange?: readonly string[] | undefined;
  /** What to do where the file was made otherwise. */
  fix?: string | undefined;
}

/**
 * Says whether work on a file may go on: it may where the file was begun with the same settings, or is not there.
 *
 * @returns the manifest to write with {@link writeStageManifest} once the file is locked, and whether a file with these very settings,
 *   those that may change among them, was begun
 * @throws OtherSettingsError saying what changed; DataError where the manifest is missing or broken
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
      fix: fix ?? `Restore ${manifestFileOf(file)}, or name another output.`,
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
  // A model's file may be renamed: its name says by whom, and decides nothing.
  if (changes.every((change) => change.startsWith('by: '))) return [];
  return changes.map((change) =>
    change
      .replace(/^format: (.*), now/, 'made by another version of llm-qe: format $1, now')
      // Nobody reads the digits of a hash.
      .replace(
        /^generator: "[0-9a-f]{40,}.*$/,
        'generator: another model, adapter, chat template or variable of it, or device',
      ),
  );
}

/** Writes the manifest beside the file. @throws ResourceError */
export async function writeStageManifest(file: string, manifest: StageManifest): Promise<void> {
  await writeDurably(manifestFileOf(file), `${JSON.stringify(manifest, null, 1)}\n`);
}
