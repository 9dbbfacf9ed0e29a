import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DataError, lifeOf, parseIdentity } from '../../system/index.ts';
import { readRecord } from './run-folder.ts';

/** A stage of a run, as its folder tells. */
export interface StageSummary {
  name: string;
  folder: string;
  finished: boolean;
  /** Of all attempts. */
  seconds: number;
}

/** A folder of runs/, as its files tell. */
export interface RunSummary {
  name: string;
  /**
   * `running`: a process holds its lock; `unknown`: one on another machine may. `stopped`: a stage was begun and not ended, or, in a
   * folder without stages (a trial, a demo), there is no report, which such a run writes last.
   */
  state: 'running' | 'finished' | 'stopped' | 'unknown';
  /** In the order of their beginning. */
  stages: StageSummary[];
  hasReport: boolean;
  /** Files that cannot be read, in words. */
  faults: string[];
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** The folder of judging sessions, beside the runs: it is no run. */
export const JUDGING_FOLDER = 'judging';

/**
 * The file in the folder of a run that names the process which was started for it, from its start on. The process takes its lock only
 * after some time, and gives it back before it ends.
 */
export const PROCESS_MARK = '.process';

/** Lists the runs of a folder, the last changed first. A missing folder has none. */
export async function listRuns(folder: string): Promise<RunSummary[]> {
  const found = await readdir(folder, { withFileTypes: true }).catch(none);
  const names = found.filter((one) => one.isDirectory() && one.name !== JUDGING_FOLDER).map(({ name }) => name);
  const runs = await Promise.all(names.map((name) => summarizeRun(join(folder, name))));
  return runs.sort((a, b) => b.changedAt - a.changedAt || (a.name < b.name ? -1 : 1));
}

/** Tells what the files of one run say. */
export async function summarizeRun(folder: string): Promise<RunSummary> {
  const found = await readdir(folder, { withFileTypes: true }).catch(none);
  const faults: string[] = [];
  const stages: (StageSummary & { changedAt: number })[] = [];
  for (const { name } of found.filter((entry) => entry.isDirectory())) {
    try {
      const record = await readRecord(join(folder, name));
      if (record === undefined) continue;
      const { stage, finished, seconds } = record;
      stages.push({ name: stage, folder: name, finished, seconds, changedAt: await changeOf(join(folder, name)) });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      faults.push(error.message);
    }
  }
  stages.sort((a, b) => a.changedAt - b.changedAt);
  const files = found.filter((one) => one.isFile()).map(({ name }) => name);
  const hasReport = files.includes('report.html');
  const isComplete = stages.length === 0 ? hasReport : stages.every(({ finished }) => finished);
  return {
    name: basename(folder),
    state: (await holderState(folder, files)) ?? (isComplete ? 'finished' : 'stopped'),
    stages: stages.map(({ changedAt: _, ...stage }) => stage),
    hasReport,
    faults,
    changedAt: Math.max(await changeOf(folder), ...stages.map((stage) => stage.changedAt)),
  };
}

/**
 * Whether a process works in the folder: an alignment holds its lock, a trial or a demo that of the texts it writes, and one that was
 * started from the studio has a mark. Nobody removes the mark, so that of another machine says nothing.
 */
async function holderState(folder: string, files: readonly string[]): Promise<'running' | 'unknown' | undefined> {
  const lifeBy = async (name: string) => {
    const holder = parseIdentity(await readFile(join(folder, name), 'utf8').catch(() => ''));
    return holder && lifeOf(holder);
  };
  const locks = files.filter((name) => name === '.lock' || name.endsWith('.journal.lock'));
  const lives = await Promise.all(locks.map(lifeBy));
  const started = files.includes(PROCESS_MARK) ? await lifeBy(PROCESS_MARK) : undefined;
  if ([...lives, started].some((life) => life === 'here' || life === 'alive')) return 'running';
  return lives.includes('unknown') ? 'unknown' : undefined;
}

/** Milliseconds since 1970. */
async function changeOf(folder: string): Promise<number> {
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: 0 }));
  return mtimeMs;
}

/** A folder that is not there, or not a folder, holds nothing. */
function none(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
  throw error;
}
