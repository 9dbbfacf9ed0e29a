import { type FileHandle, open, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemFault, throwIfAborted } from './errors.ts';

export interface FileLockOptions {
  signal?: AbortSignal | undefined;
  /** Told once when another process holds the lock. */
  onWait?: (holder: string) => void;
}

/**
 * Does work while `path` exists as a lock file that names this process; waits while a live process holds it. A lock
 * left behind by a process that is gone is taken over. Locks of other machines (a shared folder) are waited for.
 * The folder of `path` must exist.
 * @throws AbortedError, ResourceError
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>, options: FileLockOptions = {}): Promise<T> {
  await acquire(path, options);
  try {
    return await work();
  } finally {
    await release(path);
  }
}

/**
 * Locks that this process holds: one with our number that is not among them is a namesake's from before a restart.
 * Counted, since the next holder may come before the last one has left the list.
 */
const HELD = new Map<string, number>();

async function acquire(path: string, { signal, onWait }: FileLockOptions): Promise<void> {
  for (let waits = 0; ; waits++) {
    throwIfAborted(signal);
    if (await create(path)) return;
    const holder = await readFile(path, 'utf8').catch(() => '');
    if (await isGone(path, holder)) {
      await removeIfUnchanged(path, holder);
      continue;
    }
    if (waits === 0) onWait?.(holder.trim());
    await sleep(200, undefined, signal && { signal }).catch(() => throwIfAborted(signal));
  }
}

async function create(path: string): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await open(path, 'wx');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw systemFault(error, path);
  }
  // Before our number stands in the file: whoever reads it in this process must know that it is no namesake's.
  HELD.set(path, (HELD.get(path) ?? 0) + 1);
  try {
    await file.writeFile(`${process.pid} ${hostname()}\n`);
    return true;
  } catch (error) {
    await release(path);
    throw systemFault(error, path);
  } finally {
    await file.close();
  }
}

async function release(path: string): Promise<void> {
  await rm(path, { force: true });
  const left = (HELD.get(path) ?? 1) - 1;
  if (left === 0) HELD.delete(path);
  else HELD.set(path, left);
}

/** Whether the process that wrote the lock ran on this machine and runs no more. */
async function isGone(path: string, holder: string): Promise<boolean> {
  if (holder === '') return await isOld(path);
  const [pid, host] = holder.trim().split(' ');
  if (pid === undefined || host !== hostname() || !/^\d+$/.test(pid)) return false;
  if (Number(pid) === process.pid) return !HELD.has(path);
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}

/** An empty lock is one that is being written, or whose writer was killed in that moment. */
async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > 10_000;
}

async function removeIfUnchanged(path: string, holder: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => '')) === holder) await rm(path, { force: true });
}
