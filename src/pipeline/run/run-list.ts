import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, isThere, lifeOf, parseIdentity } from '../../system/index.ts';
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
  /** `running`: a process holds its lock; `unknown`: one on another machine may. `stopped`: a stage was begun and not ended. */
  state: 'running' | 'finished' | 'stopped' | 'unknown';
  /** In the order of their beginning. */
  stages: StageSummary[];
  hasReport: boolean;
  /** Files that cannot be read, in words. */
  faults: string[];
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** Lists the runs of a folder, the last changed first. A missing folder has none. */
export async function listRuns(folder: string): Promise<RunSummary[]> {
  const found = await readdir(folder, { withFileTypes: true }).catch(none);
  const runs = await Promise.all(found.filter((one) => one.isDirectory()).map(({ name }) => summarize(folder, name)));
  return runs.sort((a, b) => b.changedAt - a.changedAt || (a.name < b.name ? -1 : 1));
}

async function summarize(parent: string, name: string): Promise<RunSummary> {
  const folder = join(parent, name);
  const found = await readdir(folder, { withFileTypes: true }).catch(none);
  const faults: string[] = [];
  const stages: (StageSummary & { changedAt: number })[] = [];
  for (const one of found.filter((entry) => entry.isDirectory())) {
    try {
      const record = await readRecord(join(folder, one.name));
      if (record === undefined) continue;
      const { changedAt } = await timesOf(join(folder, one.name));
      stages.push({
        name: record.stage,
        folder: one.name,
        finished: record.finished,
        seconds: record.seconds,
        changedAt,
      });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      faults.push(error.message);
    }
  }
  stages.sort((a, b) => a.changedAt - b.changedAt);
  const { changedAt } = await timesOf(folder);
  return {
    name,
    state: (await lockState(folder)) ?? (stages.every(({ finished }) => finished) ? 'finished' : 'stopped'),
    stages: stages.map(({ changedAt: _, ...stage }) => stage),
    hasReport: await isThere(join(folder, 'report.html')),
    faults,
    changedAt: Math.max(changedAt, ...stages.map((stage) => stage.changedAt)),
  };
}

async function lockState(folder: string): Promise<'running' | 'unknown' | undefined> {
  const text = await readFile(join(folder, '.lock'), 'utf8').catch(() => '');
  const holder = parseIdentity(text);
  const life = holder && lifeOf(holder);
  if (life === 'here' || life === 'alive') return 'running';
  return life === 'unknown' ? 'unknown' : undefined;
}

async function timesOf(folder: string): Promise<{ changedAt: number }> {
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: 0 }));
  return { changedAt: mtimeMs };
}

/** A folder that is not there, or not a folder, holds nothing. */
function none(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
  throw error;
}
