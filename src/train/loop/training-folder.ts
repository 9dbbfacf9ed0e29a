import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { OtherSettingsError, readJsonFileIfThere, refuseOtherSettings } from '../../files/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { makeFolder, writeDurably } from '../../system/index.ts';
import { readCheckpoint, type TrainingState, writeCheckpoint, writeState } from './checkpoint.ts';
import { damagedFile } from './errors.ts';
import type { AdamW } from './optimizer.ts';
import type { RunIdentity } from './run-identity.ts';

/** A checkpoint that is kept. */
export interface SavedCheckpoint {
  step: number;
  /** Holds parameters.safetensors, optimizer.safetensors and state.json. */
  folder: string;
}

/** The file that marks a folder as one of the local engine, and those of the other engines. */
export const LEDGER_FILE = 'training.json';
export const JOB_FILES = {
  trl: 'trl-job.json',
  'sentence-transformers': 'sentence-transformers-job.json',
  ridge: 'ridge-job.json',
} as const;
export type OtherEngine = keyof typeof JOB_FILES;
const PREFIX = 'checkpoint-';

const ledgerSchema = z.object({
  version: z.literal(1),
  identity: z.record(z.string(), z.unknown()),
  /** Steps of the valid checkpoints; any other is left over from an interruption. */
  last: z.number().int().nullable(),
  best: z.number().int().nullable(),
});

type Ledger = z.output<typeof ledgerSchema>;

/** What a checkpoint holds. */
export interface Trained {
  parameters: Parameters;
  optimizer: AdamW;
  state: TrainingState;
}

/**
 * The folder of one training run. `training.json` holds the run's identity and names the valid checkpoints: the last
 * and the best. It is replaced atomically after each new checkpoint, so an interruption at any point leaves either the
 * old state or the new one.
 */
export class TrainingFolder {
  readonly path: string;
  #ledger: Ledger;

  private constructor(path: string, ledger: Ledger) {
    this.path = path;
    this.#ledger = ledger;
  }

  /**
   * Opens or creates the folder and removes incomplete work of an interrupted run. Only one process may use it at a
   * time.
   * @throws OtherSettingsError, stating what changed, if it holds checkpoints of a run with other settings, data or
   * model, or of a TRL run
   */
  static async open(path: string, identity: RunIdentity): Promise<TrainingFolder> {
    const fresh: Ledger = { version: 1, identity: { ...identity }, last: null, best: null };
    const begun = await readBegun(path);
    await makeFolder(path);
    if (begun !== undefined) refuseOtherSettings(path, begun.identity, identity);
    else await refuseOtherEngine(path, 'local');
    const folder = new TrainingFolder(path, begun ?? fresh);
    await folder.#writeLedger();
    await folder.#sweep();
    return folder;
  }

  /** The identity of the run that has checkpoints in the folder; undefined if there are none. @throws DataError */
  static async identityOf(path: string): Promise<Record<string, unknown> | undefined> {
    return (await readBegun(path))?.identity;
  }

  /** The newest checkpoint. */
  get last(): SavedCheckpoint | undefined {
    return this.#saved(this.#ledger.last);
  }

  /** The checkpoint of the best evaluation. */
  get best(): SavedCheckpoint | undefined {
    return this.#saved(this.#ledger.best);
  }

  /** Reads the last checkpoint; returns undefined if there is none. @throws ModelError, DataError if it is damaged */
  async resume(target: { parameters: Parameters; optimizer: AdamW }): Promise<TrainingState | undefined> {
    if (this.last === undefined) return undefined;
    return readCheckpoint(this.last.folder, target, this.path);
  }

  /** Saves the run after a completed step and removes the previous last checkpoint. @throws ResourceError */
  async save(trained: Trained): Promise<void> {
    const { step, best } = trained.state;
    const folder = this.#folderOf(step);
    if (this.#ledger.last === step) await writeState(folder, trained.state);
    else await writeCheckpoint(folder, trained);
    this.#ledger = { ...this.#ledger, last: step, best: best?.step ?? null };
    await this.#writeLedger();
    await this.#sweep();
  }

  #saved(step: number | null): SavedCheckpoint | undefined {
    return step === null ? undefined : { step, folder: this.#folderOf(step) };
  }

  #folderOf(step: number): string {
    return join(this.path, `${PREFIX}${step}`);
  }

  async #writeLedger(): Promise<void> {
    await writeDurably(join(this.path, LEDGER_FILE), `${JSON.stringify(this.#ledger, null, 2)}\n`);
  }

  /** Removes checkpoints that are not valid, complete or partial. */
  async #sweep(): Promise<void> {
    const kept = [this.#ledger.last, this.#ledger.best].map((step) => `${PREFIX}${step}`);
    const names = await readdir(this.path);
    const stale = names.filter((name) => /^\.?checkpoint-\d+(\.partial)?$/.test(name) && !kept.includes(name));
    for (const name of stale) await rm(join(this.path, name), { recursive: true, force: true });
  }
}

/**
 * Refuses the folder of a run by another engine, unless the run of this one has already begun in it.
 * @throws OtherSettingsError
 */
export async function refuseOtherEngine(path: string, engine: 'local' | OtherEngine): Promise<void> {
  const names = await readdir(path);
  const marks = { local: LEDGER_FILE, ...JOB_FILES };
  const other = Object.entries(marks).find(([name, mark]) => name !== engine && names.includes(mark));
  if (other !== undefined) throw new OtherSettingsError(path, [`engine: ${other[0]}, now ${engine}`]);
}

/**
 * Begins or goes on with a job that keeps no ledger: its identity stands in a file of its own.
 * @throws OtherSettingsError, stating what changed, if another job was begun in the folder
 */
export async function agreeOnJob(path: string, engine: OtherEngine, identity: object): Promise<void> {
  const file = join(path, JOB_FILES[engine]);
  const before = await readJsonFileIfThere(file, z.record(z.string(), z.unknown()), damagedFile(file));
  if (before !== undefined) refuseOtherSettings(path, before, identity);
  else await refuseOtherEngine(path, engine);
  await writeDurably(file, `${JSON.stringify(identity, null, 2)}\n`);
}

/** The ledger of a run that has a checkpoint. A run without one may still change its settings. */
async function readBegun(path: string): Promise<Ledger | undefined> {
  const file = join(path, LEDGER_FILE);
  const found = await readJsonFileIfThere(file, ledgerSchema, damagedFile(file));
  return found === undefined || found.last === null ? undefined : found;
}
