import { join } from 'node:path';
import { z } from 'zod';
import { readBoundedJson } from '../../../files/index.ts';
import { DataError, isThere } from '../../../system/index.ts';
import type { RunStage } from '../../shapes/runs.ts';

/** What is read of the ledger of a training: the step of its last checkpoint. */
const ledgerSchema = z.object({ last: z.number().int().nullable() });
const LARGEST_LEDGER = 16 * 2 ** 20;

/** Where the next start of a run goes on, in words: `stage dpo, step 20`. */
export async function resumePlace(run: string, stages: readonly RunStage[]): Promise<string> {
  const open = stages.findLast(({ finished }) => !finished);
  if (open === undefined) return stages.length === 0 ? 'the beginning' : 'the next stage';
  const step = await lastStep(join(run, open.folder, 'training.json'));
  if (step !== undefined) return `stage ${open.name}, step ${step.toLocaleString('en')}`;
  const kept = open.progress.map(({ done, unit }) => `${done.toLocaleString('en')} ${unit}`);
  return kept.length === 0 ? `stage ${open.name}` : `stage ${open.name}, with ${kept.join(' and ')} kept`;
}

async function lastStep(file: string): Promise<number | undefined> {
  if (!(await isThere(file))) return undefined;
  const known = { what: 'the ledger of a training', fix: 'Remove its folder.', mostBytes: LARGEST_LEDGER };
  const { last } = await readBoundedJson(file, ledgerSchema, known).catch(noLedger);
  return last ?? undefined;
}

/** A damaged ledger is told by the run itself. */
function noLedger(error: unknown): z.output<typeof ledgerSchema> {
  if (!(error instanceof DataError)) throw error;
  return { last: null };
}
