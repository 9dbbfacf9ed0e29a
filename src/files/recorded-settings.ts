import { describeChanges, UsageError } from '../system/index.ts';

/** Work stands here that was begun with other settings: to go on would mix two. */
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
    fix = 'Give the settings, models and data it was begun with, name another place, or remove it.',
  ) {
    super(`was begun with other settings (${changes.join('; ')})`, { file: path, fix });
    this.changes = changes;
  }
}

/** Settings as they come back from a file: plain JSON, without what is undefined. */
export function asRecorded(settings: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(settings)) as Record<string, unknown>;
}

/**
 * Lets work go on only with the settings it was begun with.
 *
 * @param path the file or folder of the work
 * @param recorded read from there
 * @throws OtherSettingsError saying what changed
 */
export function refuseOtherSettings(path: string, recorded: Record<string, unknown>, present: object): void {
  const changes = describeChanges(recorded, asRecorded(present));
  if (changes.length > 0) throw new OtherSettingsError(path, changes);
}
