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

/** Says that the local engine trains in a folder, and that TRL does. */
export const LEDGER_FILE = 'training.json';
export const TRL_JOB_FILE = 'trl-job.json';
const PREFIX = 'checkpoint-';

const ledgerSchema = z.object({
  version: z.literal(1),
  identity: z.record(z.string(), z.unknown()),
  /** Steps of the checkpoints that count; any other is left over from work that was cut off. */
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
 * The folder of one training run. `training.json` says whose it is and which checkpoints count: the last and the best
 * one. It is replaced at once behind each new checkpoint, so that a cut at any point leaves the old state or the new.
 */
export class TrainingFolder {
  readonly path: string;
  #ledger: Ledger;

  private constructor(path: string, ledger: Ledger) {
    this.path = path;
    this.#ledger = ledger;
  }

  /**
   * Opens or makes the folder and removes what an interruption left half done. One process at a time.
   * @throws OtherSettingsError if it holds checkpoints of a run with other settings, data or model, saying what changed,
   * or a run by TRL
   */
  static async open(path: string, identity: RunIdentity): Promise<TrainingFolder> {
    const fresh: Ledger = { version: 1, identity: { ...identity }, last: null, best: null };
    const begun = await readBegun(path);
    await makeFolder(path);
    if (begun !== undefined) refuseOtherSettings(path, begun.identity, identity);
    else if ((await readdir(path)).includes(TRL_JOB_FILE)) {
      throw new OtherSettingsError(path, ['engine: trl, now local']);
    }
    const folder = new TrainingFolder(path, begun ?? fresh);
    await folder.#writeLedger();
    await folder.#sweep();
    return folder;
  }

  /** What a run in that folder is held to by its checkpoints; undefined if there are none. @throws DataError */
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

  /** Reads the last checkpoint back; undefined if there is none. @throws ModelError, DataError if damaged */
  async resume(target: { parameters: Parameters; optimizer: AdamW }): Promise<TrainingState | undefined> {
    return this.last === undefined ? undefined : readCheckpoint(this.last.folder, target);
  }

  /** Saves the run behind a whole step, and forgets the checkpoint that was the last until now. @throws ResourceError */
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

  /** Removes checkpoints that do not count, whole or half written. */
  async #sweep(): Promise<void> {
    const kept = [this.#ledger.last, this.#ledger.best].map((step) => `${PREFIX}${step}`);
    const names = await readdir(this.path);
    const stale = names.filter((name) => /^\.?checkpoint-\d+(\.partial)?$/.test(name) && !kept.includes(name));
    for (const name of stale) await rm(join(this.path, name), { recursive: true, force: true });
  }
}

/** What stands there of a run that has a checkpoint; without one, nothing holds it to what it was. */
async function readBegun(path: string): Promise<Ledger | undefined> {
  const file = join(path, LEDGER_FILE);
  const found = await readJsonFileIfThere(file, ledgerSchema, damagedFile(file));
  return found === undefined || found.last === null ? undefined : found;
}
