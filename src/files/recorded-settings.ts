import { describeChanges, UsageError } from '../system/index.ts';

/** The work was begun with other settings: continuing would mix two. */
export class OtherSettingsError extends UsageError {
  /** Each as `sampling.topP: 0.9, now 0.8`. */
  readonly changes: readonly string[];

  /**
   * @param path the file or folder of the work
   * @param fix what to do about it
   */
  constructor(
    path: string,
    changes: readonly string[],
    fix = 'Use the settings, models and data it was begun with, choose another path, or remove it.',
  ) {
    super(`was begun with other settings (${changes.join('; ')})`, { file: path, fix });
    this.changes = changes;
  }
}

/** Returns settings as they would be read back from a file: plain JSON, without undefined values. */
export function asRecorded(settings: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(settings)) as Record<string, unknown>;
}

/**
 * Allows work to continue only with the settings it was begun with.
 *
 * @param path the file or folder of the work
 * @param recorded read from there
 * @param fix what to do about a change
 * @throws OtherSettingsError that names the changes
 */
export function refuseOtherSettings(
  path: string,
  recorded: Record<string, unknown>,
  present: object,
  fix?: string,
): void {
  const changes = describeChanges(recorded, asRecorded(present));
  if (changes.length > 0) throw new OtherSettingsError(path, changes, fix);
}
