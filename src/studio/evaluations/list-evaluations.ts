import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { listRuns } from '../../pipeline/index.ts';
import { isThere } from '../../system/index.ts';
import type { EvaluationSource } from './evaluation-files.ts';

export const RUN_FILE = /\.(run|trec)$/i;
/** A set of a benchmark may have a part, as cqadupstack/android has. */
const SET_DEPTH = 2;

/**
 * Finds the evaluations in a folder of runs, the last changed first: what `align` evaluated, each set of a benchmark, and folders with
 * run files, as `demo` and `evaluate --run-out` write them. Folders are only listed, not read.
 */
export async function listEvaluations(runs: string): Promise<EvaluationSource[]> {
  const names = (await listRuns(runs)).map(({ name }) => name);
  const found = await Promise.all(names.map((name) => evaluationsOf(join(runs, name), name)));
  return found.flat().sort((a, b) => b.changedAt - a.changedAt || (a.id < b.id ? -1 : 1));
}

async function evaluationsOf(runFolder: string, name: string): Promise<EvaluationSource[]> {
  const source = async (kind: EvaluationSource['kind'], inside: string): Promise<EvaluationSource> => {
    const folder = join(runFolder, inside);
    const { mtimeMs } = await stat(folder);
    return { id: inside === '' ? name : `${name}/${inside}`, kind, folder, runFolder, changedAt: mtimeMs };
  };
  const found: EvaluationSource[] = [];
  for (const inside of await foldersIn(runFolder)) {
    if (await isThere(join(runFolder, inside, 'evaluation.json'))) found.push(await source('alignment', inside));
  }
  for (const set of await setsIn(join(runFolder, 'sets'))) found.push(await source('benchmark', `sets/${set}`));
  if (found.length === 0 && (await runFilesIn(runFolder)).length > 0) found.push(await source('runs', ''));
  return found;
}

/** The run files of a folder, beside its other files or in its folder `runs`. */
export async function runFilesIn(folder: string): Promise<string[]> {
  const lists = await Promise.all(
    [folder, join(folder, 'runs')].map(async (at) =>
      (await entriesOf(at)).filter((one) => one.isFile() && RUN_FILE.test(one.name)).map(({ name }) => join(at, name)),
    ),
  );
  return lists.flat().sort();
}

/** Names of sets whose folder holds a finished search. */
async function setsIn(folder: string, depth = SET_DEPTH, above = ''): Promise<string[]> {
  const found: string[] = [];
  for (const name of depth === 0 ? [] : await foldersIn(folder)) {
    const set = `${above}${name}`;
    const inside = await foldersIn(join(folder, name));
    const searched = await Promise.all(inside.map((one) => isThere(join(folder, name, one, 'values.json'))));
    if (searched.includes(true)) found.push(set);
    else found.push(...(await setsIn(join(folder, name), depth - 1, `${set}/`)));
  }
  return found;
}

export async function foldersIn(folder: string): Promise<string[]> {
  return (await entriesOf(folder)).filter((one) => one.isDirectory()).map(({ name }) => name);
}

/** A link is neither a file nor a folder here: what is read lies in the folder of the runs. */
async function entriesOf(folder: string) {
  return readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
}
