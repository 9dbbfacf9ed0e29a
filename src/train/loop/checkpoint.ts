import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { readJsonFile } from '../../files/index.ts';
import { openCheckpoint, type TensorToWrite, writeSafetensors } from '../../models/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { ModelError, makeFolder, syncFolder, systemFault, writeDurably } from '../../system/index.ts';
import { damagedFile } from './errors.ts';
import type { AdamW } from './optimizer.ts';

/**
 * The state of a run after a completed step. It holds no random-generator state: the seed of each random choice is
 * derived from the run's seed and the step number.
 */
export const trainingStateSchema = z.object({
  version: z.literal(1),
  /** Optimiser steps taken. */
  step: z.number().int().nonnegative(),
  /** Position in the data: epoch and batch of the next step. */
  epoch: z.number().int().nonnegative(),
  batch: z.number().int().nonnegative(),
  /** Seed of the order of the examples, dropout, and similar choices. */
  seed: z.number().int().nonnegative(),
  /** Tokens trained on so far. */
  tokens: z.number().nonnegative(),
  /** The best evaluation so far. */
  best: z.object({ step: z.number().int(), value: z.number() }).nullable(),
  /** Evaluations since the best one. */
  stale: z.number().int().nonnegative(),
  /** The step of the last evaluation. */
  evaluated: z.number().int().nonnegative(),
  /** Why the run has no further steps. */
  stopped: z.enum(['finished', 'patience']).nullable(),
});

export type TrainingState = z.output<typeof trainingStateSchema>;

const PARAMETERS_FILE = 'parameters.safetensors';
const OPTIMIZER_FILE = 'optimizer.safetensors';
const STATE_FILE = 'state.json';

/**
 * Writes a checkpoint folder: parameters, the optimiser's running means, and the state of the run. The folder gets its
 * name, which must be unused, only when it is complete and on disk.
 * @throws ResourceError
 */
export async function writeCheckpoint(
  folder: string,
  { parameters, optimizer, state }: { parameters: Parameters; optimizer: AdamW; state: TrainingState },
): Promise<void> {
  const beside = join(dirname(folder), `.${basename(folder)}.partial`);
  try {
    await rm(beside, { recursive: true, force: true });
    await makeFolder(beside);
    await writeSafetensors(join(beside, PARAMETERS_FILE), parameterTensors(parameters));
    await writeSafetensors(join(beside, OPTIMIZER_FILE), momentTensors(parameters, optimizer));
    await writeState(beside, state);
    await rename(beside, folder);
    await syncFolder(dirname(folder));
  } catch (error) {
    await rm(beside, { recursive: true, force: true }).catch(() => {});
    throw systemFault(error, folder);
  }
}

/** Rewrites the state of a checkpoint whose parameters are already saved, such as after an evaluation. */
export async function writeState(folder: string, state: TrainingState): Promise<void> {
  await writeDurably(join(folder, STATE_FILE), `${JSON.stringify(state, null, 2)}\n`);
}

/**
 * Reads a checkpoint into parameters and an optimiser of the same names and shapes, and returns the state of the run.
 * @param run the folder of the run, for messages
 * @throws ModelError if a tensor is missing or has another shape; DataError if the folder is damaged
 */
export async function readCheckpoint(
  folder: string,
  { parameters, optimizer }: { parameters: Parameters; optimizer: AdamW },
  run = folder,
): Promise<TrainingState> {
  const file = join(folder, STATE_FILE);
  const state = await readJsonFile(file, trainingStateSchema, damagedFile(file));
  await loadParameters(folder, parameters, run);
  await fillTensors(join(folder, OPTIMIZER_FILE), momentTensors(parameters, optimizer), run);
  optimizer.steps = state.step;
  return state;
}

/**
 * Reads the parameters of a checkpoint folder into `parameters`, for example those of the best checkpoint.
 * @throws ModelError if one is missing or has another shape, or if the file is damaged
 */
export async function loadParameters(folder: string, parameters: Parameters, run = folder): Promise<void> {
  await fillTensors(join(folder, PARAMETERS_FILE), parameterTensors(parameters), run);
}

function parameterTensors(parameters: Parameters): TensorToWrite[] {
  return parameters.names().map((name) => ({ name, shape: parameters.shape(name), data: parameters.get(name) }));
}

/** The optimiser's state under PyTorch's names for AdamW. */
function momentTensors(parameters: Parameters, optimizer: AdamW): TensorToWrite[] {
  return parameters.names().flatMap((name) => {
    const shape = parameters.shape(name);
    const { mean, square } = optimizer.moments(name);
    return [
      { name: `exp_avg.${name}`, shape, data: mean },
      { name: `exp_avg_sq.${name}`, shape, data: square },
    ];
  });
}

async function fillTensors(file: string, targets: readonly TensorToWrite[], run: string): Promise<void> {
  const damaged = (error: unknown) => damagedCheckpoint(error, file, run);
  const checkpoint = await openCheckpoint(file).catch(damaged);
  try {
    const shapes = new Map(checkpoint.tensors().map(({ name, shape }) => [name, shape]));
    for (const { name, shape } of targets) checkShape(file, name, shape, shapes.get(name));
    if (shapes.size !== targets.length) {
      const extra = [...shapes.keys()].find((name) => !targets.some((target) => target.name === name));
      throw new ModelError('is not a tensor of this training run', { file, id: extra, fix: ANOTHER_MODEL });
    }
    for (const { name, data } of targets) data.set(await checkpoint.read(name).catch(damaged));
  } finally {
    await checkpoint.close();
  }
}

/** A model's errors advise to download it again, which does not help here. */
function damagedCheckpoint(cause: unknown, file: string, run: string): never {
  if (!(cause instanceof ModelError)) throw cause;
  throw new ModelError('the checkpoint is damaged', {
    file,
    id: cause.id,
    fix: `Remove ${run} to train again from the start, or choose another folder.`,
    cause,
  });
}

const ANOTHER_MODEL = 'The checkpoint belongs to another model or adapter. Pass the folder of a run of this one.';

function checkShape(file: string, name: string, expected: readonly number[], found: readonly number[] | undefined) {
  if (found !== undefined && found.join() === expected.join()) return;
  const reason = found === undefined ? 'is missing' : `has the shape [${found}], but [${expected}] is expected`;
  throw new ModelError(reason, { file, id: name, fix: ANOTHER_MODEL });
}
