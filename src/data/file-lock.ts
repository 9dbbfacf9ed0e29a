import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { ResourceError, systemFault } from '../system/index.ts';

const ownerSchema = z.object({
  pid: z.number().int().positive(),
  host: z.string(),
  /** When the process started, in the kernel's own words; tells a process from a later one with the same number. */
  started: z.string(),
});
type Owner = z.infer<typeof ownerSchema>;

/** Locks held by this process, by absolute path. */
const held = new Set<string>();

/**
 * Keeps a second process from writing the same file: `<file>.lock` names the owner while it lives. The lock of a
 * process that has ended (also by `kill -9`) is taken over.
 */
export class FileLock {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws ResourceError when another living process holds it, or this process already does */
  static async acquire(file: string): Promise<FileLock> {
    const path = resolve(`${file}.lock`);
    if (held.has(path)) throw busy(file, path, process.pid, 'this process');
    held.add(path);
    try {
      await claim(file, path);
      return new FileLock(path);
    } catch (error) {
      held.delete(path);
      throw systemFault(error, path);
    }
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true });
    held.delete(this.#path);
  }
}

/** Puts our name in place with one atomic `link`, after removing the lock of a dead owner. */
async function claim(file: string, path: string): Promise<void> {
  const own = beside(path);
  const owner: Owner = { pid: process.pid, host: hostname(), started: startOf(process.pid) };
  await writeFile(own, JSON.stringify(owner));
  try {
    while (!(await linked(own, path))) {
      const seen = await readFile(path, 'utf8').catch(() => undefined);
      if (seen === undefined) continue;
      refuseLiving(file, path, seen);
      await removeStale(path, seen);
    }
  } finally {
    await rm(own, { force: true });
  }
}

async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function refuseLiving(file: string, path: string, content: string): void {
  const owner = parseOwner(content);
  if (owner === undefined) return;
  if (owner.host !== hostname()) throw busy(file, path, owner.pid, `a process on ${owner.host}`);
  const ours = owner.pid === process.pid;
  if (!ours && isAlive(owner.pid) && startOf(owner.pid) === owner.started) {
    throw busy(file, path, owner.pid, 'another process');
  }
}

function parseOwner(content: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(content));
  } catch {
    return undefined; // cut in half by a power loss: nobody holds it
  }
}

/** Moves the dead lock away first: of two that see it, only one then removes it, and a fresh one is put back. */
async function removeStale(path: string, seen: string): Promise<void> {
  const moved = beside(path);
  try {
    await rename(path, moved);
  } catch {
    return; // another process was quicker
  }
  if ((await readFile(moved, 'utf8')) !== seen) await linked(moved, path);
  await rm(moved, { force: true });
}

function beside(path: string): string {
  return `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Start time of a process in clock ticks, with the boot's id (Linux, proc(5)); elsewhere the empty string. */
function startOf(pid: number): string {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const ticks = fields.slice(fields.lastIndexOf(')') + 2).split(' ')[19];
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${ticks}`;
  } catch {
    return '';
  }
}

function busy(file: string, path: string, pid: number, who: string): ResourceError {
  return new ResourceError(`${who} (number ${pid}) is writing this file`, {
    file,
    mend: `Wait until it is done, or name another output; if no such process runs, delete ${path}.`,
  });
}
