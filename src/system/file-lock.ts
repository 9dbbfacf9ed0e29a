import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAbort, ResourceError, systemFault, throwIfAborted } from './errors.ts';
import { claimNeighbour } from './leftovers.ts';
import { formatIdentity, lifeOf, parseIdentity, shortHash, thisProcess } from './process-identity.ts';
import { type Progress, type ProgressTask, SILENT } from './progress.ts';

export interface FileLockOptions {
  signal?: AbortSignal | undefined;
  /** Told once when another process holds the lock: who, and the path of the lock. */
  onWait?: (holder: string) => void;
  /** Shows that, and for whom, the work waits. */
  progress?: Progress | undefined;
  /** What the other process does, behind "waiting for another process that"; shown as progress. */
  what?: string | undefined;
  /** Limit on the wait for a holder on another machine that gives no sign of life. Default 300. */
  silenceSeconds?: number | undefined;
}

/** The first wait for a lock; each is half as long again, up to the last. */
const WAIT_MILLISECONDS = { first: 10, last: 200 };

/** A holder renews the time of its lock this often, for those that cannot see its process. */
const RENEWAL_MILLISECONDS = 15_000;

/**
 * Does work while `path` exists as a lock file that names this process; waits while a live process holds it, and shows
 * whom it waits for. The lock of a process that is gone is taken over. Whether a process of another machine (a shared
 * folder) or of another container is gone cannot be seen: its lock is waited for as long as it is renewed.
 *
 * A lock file has its whole content from the start (a file of its own name is linked to the lock's), and a stale one
 * is replaced in one step under a second lock, whose name is that of the holder that is gone. So nobody can remove a
 * lock that another has taken over meanwhile.
 *
 * The folder of `path` must exist.
 * @throws AbortedError, ResourceError
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>, options: FileLockOptions = {}): Promise<T> {
  const lock = await acquire(path, options);
  const renewal = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, RENEWAL_MILLISECONDS).unref();
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    await release(path, lock);
  }
}

/** Contents of the locks that this process holds, for systems on which a namesake from before cannot be told by its start. */
const HELD = new Set<string>();

/** Returns the content of the lock, once it is ours. */
async function acquire(path: string, options: FileLockOptions): Promise<string> {
  const lock = `${formatIdentity(thisProcess())} ${randomBytes(8).toString('hex')}\n`;
  const wait = new Wait(path, options);
  try {
    for (;;) {
      throwIfAborted(options.signal);
      const holder = await contentOf(path);
      if (holder === undefined) {
        if (await create(path, lock)) return lock;
      } else if (await isGone(path, holder)) {
        if (await takeOver(path, holder, lock, options)) return lock;
      } else {
        await wait.turn(holder);
      }
    }
  } finally {
    wait.end();
  }
}

class Wait {
  readonly #path: string;
  readonly #options: FileLockOptions;
  #task: ProgressTask | undefined;
  #holder: string | undefined;
  #renewed: number | undefined;
  #since = 0;
  #milliseconds = WAIT_MILLISECONDS.first;

  constructor(path: string, options: FileLockOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** Waits a moment. @throws ResourceError if the holder cannot be seen and gave no sign of life for long */
  async turn(holder: string): Promise<void> {
    const { signal, progress = SILENT, what = 'works on the same', onWait } = this.#options;
    const description = `${describe(holder)} (lock: ${this.#path})`;
    if (this.#holder === undefined) onWait?.(description);
    if (this.#holder === undefined && progress !== SILENT) {
      this.#task = progress.task(`waiting for another process that ${what}`, undefined, 'seconds');
    }
    if (this.#holder !== holder) this.#task?.note(description);
    await this.#watch(holder, description);
    await sleep(this.#milliseconds, undefined, signal && { signal }).catch((error: unknown) => {
      throwIfAborted(signal);
      throw error;
    });
    this.#milliseconds = Math.min(WAIT_MILLISECONDS.last, this.#milliseconds * 1.5);
  }

  async #watch(holder: string, description: string): Promise<void> {
    const renewed = (await stat(this.#path).catch(() => undefined))?.mtimeMs;
    const isNews = this.#holder !== holder || this.#renewed !== renewed;
    if (isNews) this.#since = performance.now();
    this.#holder = holder;
    this.#renewed = renewed;
    const seconds = this.#options.silenceSeconds ?? 300;
    const owner = parseIdentity(holder);
    if (performance.now() - this.#since < seconds * 1000 || (owner && lifeOf(owner) !== 'unknown')) return;
    throw new ResourceError(`the lock is held by ${description}, which has given no sign of life for ${seconds} s`, {
      file: this.#path,
      fix: 'If no such process runs there any more, delete this file and run the same command again.',
    });
  }

  end(): void {
    this.#task?.done();
  }
}

function describe(holder: string): string {
  const owner = parseIdentity(holder);
  return owner === undefined ? 'a process without a name' : `process ${owner.pid} on ${owner.host}`;
}

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw systemFault(error, path);
  }
}

/** Makes the lock unless one is there. */
async function create(path: string, lock: string): Promise<boolean> {
  // Before the lock is seen: whoever reads it in this process must know that it is no namesake's.
  HELD.add(lock);
  let isOurs = false;
  try {
    isOurs = await beside(path, lock, (fresh) => link(fresh, path)).then(() => true);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (NO_LINKS.includes(code)) isOurs = await createWithoutLink(path, lock);
    else if (code !== 'EEXIST') throw systemFault(error, path);
  } finally {
    if (!isOurs) HELD.delete(lock);
  }
  return isOurs;
}

/** What file systems answer that have no second names for a file. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** The lock is empty for a moment, and for longer if its writer is killed in it: see {@link isOld}. */
async function createWithoutLink(path: string, lock: string): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await open(path, 'wx');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw systemFault(error, path);
  }
  try {
    await file.writeFile(lock);
  } catch (error) {
    await rm(path, { force: true });
    throw systemFault(error, path);
  } finally {
    await file.close();
  }
  return (await contentOf(path)) === lock;
}

/** Writes the lock's content into a neighbour and gives it to `use`; nothing of it stays. */
async function beside(path: string, lock: string, use: (fresh: string) => Promise<void>): Promise<void> {
  const fresh = await claimNeighbour(path, 'partial');
  try {
    await writeFile(fresh, lock, { flag: 'wx' });
    await use(fresh);
  } finally {
    await rm(fresh, { force: true });
  }
}

/**
 * Puts our lock in the place of one whose holder is gone. While we hold the second lock nobody else may replace a lock
 * of that content; if it was replaced before, it has another content now.
 */
async function takeOver(path: string, gone: string, lock: string, { signal }: FileLockOptions): Promise<boolean> {
  const replace = async () => {
    if ((await contentOf(path)) !== gone) return false;
    HELD.add(lock);
    await beside(path, lock, (fresh) => rename(fresh, path)).catch((error: unknown) => {
      HELD.delete(lock);
      throw systemFault(error, path);
    });
    return true;
  };
  return withFileLock(`${path}.${shortHash(gone)}`, replace, { signal }).catch((error: unknown) => {
    throw isAbort(error) ? error : systemFault(error, path);
  });
}

/** Removes the lock, unless somebody else has removed it and another process has taken it since. */
async function release(path: string, lock: string): Promise<void> {
  try {
    if ((await contentOf(path)) === lock) await rm(path, { force: true });
  } finally {
    HELD.delete(lock);
  }
}

/** Whether the process that wrote the lock ran on this machine and runs no more. */
async function isGone(path: string, holder: string): Promise<boolean> {
  const owner = parseIdentity(holder);
  if (owner === undefined) return holder.trim() === '' && (await isOld(path));
  const life = lifeOf(owner);
  // A namesake from before a restart, if the system does not tell when a process began.
  if (life === 'here') return owner.start === undefined && !HELD.has(holder);
  return life === 'gone';
}

/** An empty lock is one that is being written, or whose writer was killed in that moment. */
async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > 10_000;
}
