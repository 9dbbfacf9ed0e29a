import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFileIfThere } from '../../files/index.ts';
import { isThere, UsageError } from '../../system/index.ts';
import { damagedFile } from '../loop/errors.ts';
import { JOB_FILES, LEDGER_FILE } from '../loop/training-folder.ts';

/** What the manifest of a retriever's training says it is. */
export const STAGE = 'train retriever';
const MANIFEST = 'manifest.json';
const DATA = new Set(['corpus.jsonl', 'queries.jsonl', 'qrels']);
const MODEL = /^(config|modules)\.json$|\.safetensors$/;

/**
 * Refuses a folder whose model or manifest came from elsewhere and would be overwritten. Whether the run in a folder is the same
 * run is asked later, by its ledger.
 * @throws UsageError
 */
export async function refuseForeignFolder(out: string): Promise<void> {
  if (!(await isThere(out))) return;
  const names = await readdir(out);
  if (names.some(isMark)) return;
  const data = names.find((name) => DATA.has(name));
  if (data !== undefined) throw isTaken(out, `holds a data set (${data})`);
  const model = names.find((name) => MODEL.test(name));
  if (model !== undefined) throw isTaken(out, `holds a model (${model}) that this training did not write`);
  if (!names.includes(MANIFEST)) return;
  const file = join(out, MANIFEST);
  const { stage } = (await readJsonFileIfThere(file, z.looseObject({ stage: z.unknown() }), damagedFile(file)))!;
  if (stage !== STAGE) throw isTaken(out, `holds the ${MANIFEST} of other work`);
}

/** Refuses a folder in which something was trained or begun, or a model is. @throws UsageError */
export async function refuseTrainingFolder(out: string): Promise<void> {
  await refuseForeignFolder(out);
  const mark = (await isThere(out)) ? (await readdir(out)).find(isMark) : undefined;
  if (mark !== undefined) throw isTaken(out, `holds a training (${mark})`);
}

/**
 * Refuses a folder that holds files of these names which no training wrote.
 * @throws UsageError
 */
export async function refuseForeignFiles(out: string, files: readonly string[]): Promise<void> {
  const names = (await isThere(out)) ? await readdir(out) : [];
  const foreign = names.some(isMark) ? undefined : files.find((file) => names.includes(file));
  if (foreign !== undefined) throw isTaken(out, `holds another ${foreign}`);
}

function isMark(name: string): boolean {
  return name === LEDGER_FILE || Object.values<string>(JOB_FILES).includes(name);
}

export function isTaken(out: string, why: string): UsageError {
  return new UsageError(`the folder ${why}`, { file: out, fix: 'Choose a new folder (--out).' });
}
