import { lstat, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PROCESS_MARK } from '../../pipeline/index.ts';
import { formatIdentity, lifeOf, type ProcessIdentity, parseIdentity } from '../../system/index.ts';
import type { RunProcess } from '../shapes/recipes.ts';
import { OWN_FOLDER } from './run-folder.ts';

/** Names the process that was asked to stop. */
export const STOP_FILE = 'stop';

/** A process of this program that works in the folder of a run. */
export interface Worker {
  identity: ProcessIdentity;
  /** Whether it is the one that a studio started, and whether it works. */
  isStarted: boolean;
  isWorking: boolean;
}

/**
 * The process that works on a run: the one that was started for it, or any that holds its lock, which may be that of another machine.
 * A mark may have been left behind, so that one of another machine says nothing.
 */
export async function workerIn(folder: string): Promise<Worker | undefined> {
  const [started, holder] = await Promise.all([PROCESS_MARK, '.lock'].map((name) => readIdentity(join(folder, name))));
  if (started !== undefined && ['alive', 'here'].includes(lifeOf(started))) {
    return { identity: started, isStarted: true, isWorking: holder?.pid === started.pid };
  }
  if (holder === undefined || lifeOf(holder) === 'gone') return undefined;
  return { identity: holder, isStarted: false, isWorking: true };
}

/** What a worker does. */
export async function stateOf(
  folder: string,
  { identity, isStarted, isWorking }: Worker,
): Promise<RunProcess['state']> {
  const asked = await readIdentity(join(folder, OWN_FOLDER, STOP_FILE));
  if (asked !== undefined && formatIdentity(asked) === formatIdentity(identity)) return 'stopping';
  if (isWorking || !isStarted) return 'running';
  const holder = await readIdentity(join(folder, '.lock'));
  return holder !== undefined && lifeOf(holder) !== 'gone' ? 'waiting' : 'starting';
}

/** A lock or a mark; what is too long for one is none. */
async function readIdentity(file: string): Promise<ProcessIdentity | undefined> {
  const facts = await lstat(file).catch(() => undefined);
  if (!facts?.isFile() || facts.size > 1000) return undefined;
  return parseIdentity(await readFile(file, 'utf8').catch(() => ''));
}

/** Where the system does not tell the start of a process, another may get its id: a mark stays no longer than it must. */
export async function removeMark(mark: string, identity: ProcessIdentity): Promise<void> {
  const known = await readIdentity(mark);
  // It may be that of the next process by now.
  if (known !== undefined && formatIdentity(known) === formatIdentity(identity))
    await rm(mark, { force: true }).catch(() => {});
}
