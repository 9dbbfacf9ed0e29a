import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { systemFault } from '../errors.ts';
import { formatIdentity, isRunning, shortHash, thisProcess } from '../workers/process-identity.ts';
import { makeFolder, syncFolder } from './folders.ts';

/** A neighbour of a file or folder while it is made: `partial` will take its name; `old` had the name before and is replaced. */
export type NeighbourKind = 'partial' | 'old';

/** `NAME.PID-START-WHERE-RANDOM.partial`. Earlier versions used a shorter form without start and place. */
const NAME = /^(.+)\.(\d{1,10})-(?:([0-9a-z]*)-([0-9a-f]{6})-)?[0-9a-f]{6,8}\.(partial|old)$/;

/** Leftovers of a process that cannot be seen from here count as dead if they did not change for this time. */
const FORGOTTEN_MILLISECONDS = 24 * 60 * 60 * 1000;

const swept = new Set<string>();

/**
 * Returns a free path next to `path` for a file or folder in the making; its name identifies the process that makes it. The first
 * call for a folder removes what processes that are gone have left there.
 */
export async function claimNeighbour(path: string, kind: NeighbourKind): Promise<string> {
  const folder = dirname(resolve(path));
  if (!swept.has(folder)) {
    swept.add(folder);
    await sweepLeftovers(folder);
  }
  return `${path}.${ownerWord()}-${randomBytes(3).toString('hex')}.${kind}`;
}

/** Process id, start and place of this process in 20 characters, because the length of file names is limited. */
function ownerWord(): string {
  const { pid, start } = thisProcess();
  return `${pid}-${startWord(start)}-${placeWord()}`;
}

function startWord(start: string | undefined): string {
  return start === undefined ? '' : BigInt(start).toString(36);
}

function placeWord(): string {
  const { host, machine, boot, namespace } = thisProcess();
  return shortHash(formatIdentity({ pid: 0, host, machine, boot, namespace }))!;
}

export interface Leftover {
  path: string;
  kind: NeighbourKind;
  /** The file or folder that was to be made. */
  target: string;
}

/** Returns what processes that are gone have left directly in a folder. Empty if the folder cannot be read. */
export async function findLeftovers(folder: string): Promise<Leftover[]> {
  const names = await readdir(folder).catch((): string[] => []);
  const found: Leftover[] = [];
  for (const name of names) {
    const match = NAME.exec(name);
    if (match === null) continue;
    const [, target, pid, start, place, kind] = match;
    const path = join(folder, name);
    if (await isInUse(path, Number(pid), start, place)) continue;
    found.push({ path, kind: kind as NeighbourKind, target: join(folder, target!) });
  }
  return found;
}

async function isInUse(path: string, pid: number, start?: string, place?: string): Promise<boolean> {
  if (place === placeWord()) {
    const self = thisProcess();
    if (pid === self.pid) return start === startWord(self.start);
    return isRunning(pid, start ? BigInt(Number.parseInt(start, 36)).toString() : undefined);
  }
  if (place === undefined && isRunning(pid, undefined)) return true;
  return Date.now() - (await lastChange(path)) < FORGOTTEN_MILLISECONDS;
}

/** Returns the time of the last change of a file, or of a folder and its contents. */
async function lastChange(path: string): Promise<number> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts === undefined) return Date.now();
  let latest = facts.mtimeMs;
  if (!facts.isDirectory()) return latest;
  for (const name of await readdir(path).catch((): string[] => [])) {
    latest = Math.max(latest, await lastChange(join(path, name)));
  }
  return latest;
}

/**
 * Removes what processes that are gone have left in a folder. If one was stopped between the two renames that replace a folder, the
 * old folder gets its name back.
 */
export async function sweepLeftovers(folder: string): Promise<Leftover[]> {
  const found = await findLeftovers(folder);
  for (const { path, kind, target } of found) {
    // What cannot be removed does no harm, and the next process tries again.
    if (kind === 'old' && !(await isFilled(target))) await rename(path, target).catch(() => {});
    else await rm(path, { recursive: true, force: true }).catch(() => {});
  }
  return found;
}

async function isFilled(target: string): Promise<boolean> {
  const facts = await stat(target).catch(() => undefined);
  return facts !== undefined && (!facts.isDirectory() || (await readdir(target)).length > 0);
}

/**
 * Creates a folder that appears under its name only when it is complete: `fill` writes into a neighbour, which is then renamed and
 * survives a power cut. It replaces what had the name before. The parent folder is created if it is missing.
 * @throws ResourceError; whatever `fill` throws, and then nothing has changed
 */
export async function replaceFolder(folder: string, fill: (fresh: string) => Promise<void>): Promise<void> {
  const target = resolve(folder);
  await makeFolder(dirname(target));
  const fresh = await claimNeighbour(target, 'partial');
  try {
    await mkdir(fresh);
    await fill(fresh);
    await syncFolder(fresh);
    await swapIn(fresh, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw systemFault(error, folder);
  }
}

/** No system call swaps two folders: between the two renames neither has the name, but both are complete. */
async function swapIn(fresh: string, target: string): Promise<void> {
  const aside = await claimNeighbour(target, 'old');
  const wasThere = await rename(target, aside).then(
    () => true,
    () => false,
  );
  await rename(fresh, target).catch(async (error: unknown) => {
    if (wasThere) await rename(aside, target);
    throw error;
  });
  if (wasThere) await rm(aside, { recursive: true, force: true });
}
