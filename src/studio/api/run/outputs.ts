import { join } from 'node:path';
import { readRecord, type StageRecord, summarizeRun } from '../../../pipeline/index.ts';
import { RequestError } from '../../../serve/index.ts';
import { DataError } from '../../../system/index.ts';
import { fileInside } from './run-place.ts';

/** A file that a finished stage wrote. */
export interface StageOutput {
  path: string;
  sha256: string;
  /** Of the stage, within the run. */
  folder: string;
}

/** The finished stages of a run with their records, in the order of their beginning. */
export async function finishedStages(run: string): Promise<{ folder: string; record: StageRecord }[]> {
  const { stages } = await summarizeRun(run);
  const found: { folder: string; record: StageRecord }[] = [];
  for (const { folder, finished } of stages) {
    const record = finished ? await readRecord(join(run, folder)).catch(damaged) : undefined;
    if (record !== undefined) found.push({ folder, record });
  }
  return found;
}

/** The page of the run names what is damaged. */
function damaged(error: unknown): undefined {
  if (!(error instanceof DataError)) throw error;
}

/**
 * Finds an output by its name: that of the named stage, or of the last that has one.
 * @throws RequestError if there is none
 */
export async function findOutput(run: string, output: string, stage?: string): Promise<StageOutput> {
  const stages = await finishedStages(run);
  const found = stages.findLast(
    ({ folder, record }) => (stage === undefined || folder === stage) && Object.hasOwn(record.outputs, output),
  );
  if (found === undefined) {
    throw new RequestError(404, `the run has no ${output} yet`, { fix: 'Wait until the stage is finished.' });
  }
  const { file, sha256 } = found.record.outputs[output]!;
  return { path: await fileInside(join(run, found.folder), file), sha256, folder: found.folder };
}

/** The output of a stage that was made from another output; undefined if there is none. */
export async function outputMadeFrom(run: string, from: StageOutput, output: string): Promise<string | undefined> {
  const stages = await finishedStages(run);
  const found = stages.findLast(
    ({ record: { settings, outputs } }) =>
      Object.hasOwn(outputs, output) && Object.values(settings).includes(from.sha256),
  );
  if (found === undefined) return undefined;
  return fileInside(join(run, found.folder), found.record.outputs[output]!.file);
}
