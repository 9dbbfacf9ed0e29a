import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { cachedSha256 } from '../../data/index.ts';
import { asRecorded, readJsonFileIfThere } from '../../files/index.ts';
import {
  contentKey,
  DataError,
  describeChanges,
  makeFolder,
  packageVersion,
  writeDurably,
} from '../../system/index.ts';

const outputSchema = z.object({ file: z.string(), bytes: z.number(), sha256: z.string() });

const recordSchema = z.object({
  stage: z.string(),
  /** Content key of the settings, which include the hashes of the inputs. */
  key: z.string(),
  version: z.string(),
  settings: z.record(z.string(), z.unknown()),
  /** Wall time of all attempts, in seconds. */
  seconds: z.number(),
  finished: z.boolean(),
  /** Output files by name, relative to the stage's folder. */
  outputs: z.record(z.string(), outputSchema),
  /** Facts that later stages and the report read. */
  result: z.record(z.string(), z.unknown()),
});

/** `stage.json`: the inputs and outputs of a stage. */
export type StageRecord = z.output<typeof recordSchema>;

/** The work of a stage. */
export interface StageWork {
  stage: string;
  /** Everything that determines the outputs. Plain JSON. */
  settings: Record<string, unknown>;
  /** Folders of the same stage that do not count as its earlier attempts: those of the other rounds of this run. */
  apartFrom?: ReadonlySet<string> | undefined;
  /** Told why a finished stage is not used, which then runs again; without it, a stage that was changed or damaged is refused. */
  onDamage?: ((reason: string) => void) | undefined;
  /** Does the work in the folder; resumes from its own partial results there. */
  run(folder: string): Promise<{ outputs: Record<string, string>; result: Record<string, unknown> }>;
}

/** A finished stage. */
export interface FinishedStage {
  record: StageRecord;
  folder: string;
  /** Whether it was already finished. */
  reused: boolean;
  /** Differences from the same stage of an earlier run in this folder; empty for the first run. */
  changes: string[];
}

const RECORD = 'stage.json';
/** Enough digits of the key to avoid collisions in one run folder. */
const KEY_LENGTH = 10;

/**
 * The folder of a run. Each stage works in a sub-folder named by the content key of its settings and inputs. Finished
 * work is never repeated, interrupted work resumes, and a changed setting gets its own sub-folder, so nothing is mixed.
 * Runs that share stages (ablations of one recipe) can share the folder.
 */
export class RunFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Runs a stage, or finds it finished.
   * @throws DataError if an output was changed after the stage had finished, unless the work says what to do then
   */
  async stage(work: StageWork): Promise<FinishedStage> {
    const settings = asRecorded(work.settings);
    const key = contentKey({ stage: work.stage, settings });
    const folder = this.folderOf(work.stage, key);
    const found = await wholeRecord(folder, work);
    const changes = found === undefined ? await this.#changesOf(work, settings) : [];
    if (found?.finished === true) return { record: found, folder, reused: true, changes: [] };
    await makeFolder(folder);
    const begun: StageRecord = {
      ...{ stage: work.stage, key, version: packageVersion(), settings },
      ...{ seconds: found?.seconds ?? 0, finished: false, outputs: {}, result: {} },
    };
    const record = await timed(folder, begun, work);
    return { record, folder, reused: false, changes };
  }

  /** Returns the stage with these settings if it is finished, otherwise undefined. */
  async find(stage: string, settings: Record<string, unknown>): Promise<StageRecord | undefined> {
    const key = contentKey({ stage, settings: asRecorded(settings) });
    const found = await readRecord(this.folderOf(stage, key));
    return found?.finished === true ? found : undefined;
  }

  /** A path as written in the manifest. */
  relative(path: string): string {
    return relative(this.path, path).replaceAll('\\', '/');
  }

  /** The folder of the stage with that key. */
  folderOf(stage: string, key: string): string {
    return join(this.path, `${stage}-${key.slice(0, KEY_LENGTH)}`);
  }

  /** The differences from the most similar other attempt of the stage. */
  async #changesOf(
    { stage, apartFrom }: Pick<StageWork, 'stage' | 'apartFrom'>,
    settings: Record<string, unknown>,
  ): Promise<string[]> {
    const names = await readdir(this.path).catch((): string[] => []);
    const isOfStage = (name: string) => name.startsWith(`${stage}-`) && name.length === stage.length + 1 + KEY_LENGTH;
    const differences: string[][] = [];
    for (const name of names.filter((one) => isOfStage(one) && !apartFrom?.has(join(this.path, one)))) {
      const other = await readRecord(join(this.path, name)).catch(skipDamaged);
      if (other !== undefined) differences.push(readable(describeChanges(other.settings, settings)));
    }
    return differences.sort((a, b) => a.length - b.length)[0] ?? [];
  }
}

/** Replaces changed hashes by words: readers need to know that the content differs, not the digits. */
function readable(changes: readonly string[]): string[] {
  return changes.map((change) => change.replace(/: "[0-9a-f]{40,}.*$/, ': other content'));
}

/** Runs a stage, and records its time however it ends. */
async function timed(folder: string, begun: StageRecord, work: StageWork): Promise<StageRecord> {
  const started = performance.now();
  const seconds = () => Number((begun.seconds + (performance.now() - started) / 1000).toFixed(3));
  await writeRecord(folder, begun);
  try {
    const { outputs, result } = await work.run(folder);
    const record = { ...begun, outputs: await describeOutputs(folder, outputs), result: asRecorded(result) };
    const finished = { ...record, finished: true, seconds: seconds() };
    await writeRecord(folder, finished);
    return finished;
  } catch (error) {
    await writeRecord(folder, { ...begun, seconds: seconds() }).catch(() => {});
    throw error;
  }
}

async function describeOutputs(folder: string, outputs: Record<string, string>): Promise<StageRecord['outputs']> {
  const described: StageRecord['outputs'] = {};
  for (const [name, path] of Object.entries(outputs)) {
    const { size } = await stat(path);
    const file = relative(folder, path).replaceAll('\\', '/');
    described[name] = { file, bytes: size, sha256: await cachedSha256(path) };
  }
  return described;
}

/** The record of a stage whose outputs are as it wrote them; undefined if there is none, or if the work runs damaged stages again. */
async function wholeRecord(folder: string, { onDamage }: StageWork): Promise<StageRecord | undefined> {
  try {
    const found = await readRecord(folder);
    if (found?.finished === true) await checkOutputs(folder, found);
    return found;
  } catch (error) {
    if (onDamage === undefined || !(error instanceof DataError)) throw error;
    onDamage(error.message);
    return undefined;
  }
}

/** What an earlier attempt differed in is only a remark. */
function skipDamaged(error: unknown): undefined {
  if (!(error instanceof DataError)) throw error;
}

async function checkOutputs(folder: string, { outputs, stage }: StageRecord): Promise<void> {
  for (const { file, sha256 } of Object.values(outputs)) {
    const path = join(folder, file);
    if ((await cachedSha256(path)) === sha256) continue;
    throw new DataError(`was changed since stage ${stage} wrote it`, {
      file: path,
      fix: `Restore the file, or remove ${folder} to run the stage again.`,
    });
  }
}

/** Reads the record of a stage's folder; undefined if there is none. @throws DataError */
export async function readRecord(folder: string): Promise<StageRecord | undefined> {
  const file = join(folder, RECORD);
  const fix = 'Remove its folder. The stage will run again.';
  return readJsonFileIfThere(
    file,
    recordSchema,
    (cause) => new DataError('is not the record of a stage', { file, fix, cause }),
  );
}

async function writeRecord(folder: string, record: StageRecord): Promise<void> {
  await writeDurably(join(folder, RECORD), `${JSON.stringify(record, null, 1)}\n`);
}
