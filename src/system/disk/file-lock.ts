import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAbort, ResourceError, systemFault, throwIfAborted } from '../errors.ts';
import { type Progress, type ProgressTask, SILENT } from '../progress.ts';
import { formatIdentity, lifeOf, parseIdentity, shortHash, thisProcess } from '../workers/process-identity.ts';
import { claimNeighbour } from './leftovers.ts';

export interface FileLockOptions {
  signal?: AbortSignal | undefined;
  /** Called once if another process holds the lock, with a description of the process and the path of the lock. */
  onWait?: (holder: string) => void;
  /** Shows the wait and the process that holds the lock. */
  progress?: Progress | undefined;
  /** What the other process does, to follow "waiting for another process that"; shown as progress. */
  what?: string | undefined;
  /** Time limit for waiting for a holder on another machine that no longer renews its lock. Default 300. */
  silenceSeconds?: number | undefined;
}

/** The first wait for a lock. Each wait is half as long again, up to the last. */
const WAIT_MILLISECONDS = { first: 10, last: 200 };

/** A holder renews the time stamp of its lock this often, for processes that cannot see the holder. */
const RENEWAL_MILLISECONDS = 15_000;

/**
 * Does work while the lock file `path`, which names this process, exists. Waits while a live process holds the lock, and shows
 * which one. The lock of a process that is gone is taken over. Whether a process on another machine (a shared folder) or in another
 * container is gone cannot be seen: its lock is respected as long as it is renewed.
 *
 * A lock file has its complete content from the start, because a separate file is linked to its name. A stale lock is replaced in
 * one step under a second lock, whose name contains that of the holder that is gone. So no process can remove a lock that another
 * has taken over in the meantime.
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

/**
 * Contents of the locks that this process holds, for systems that do not tell when a process started, so a reused id cannot be
 * recognised.
 */
const HELD = new Set<string>();

/** Returns the content of the lock when this process holds it. */
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

  /** Waits a moment. @throws ResourceError if the holder cannot be seen and has not renewed the lock for too long */
  async turn(holder: string): Promise<void> {
    const { signal, progress = SILENT, what = 'works on the same', onWait } = this.#options;
    const description = `${describe(holder)} (lock: ${this.#path})`;
    if (this.#holder === undefined) onWait?.(description);
    if (this.#holder === undefined && progress !== SILENT) {
      this.#task = progress.task(`waiting for another process that ${what}`, undefined, 'seconds');
    }
    // At every turn: where progress is a line now and then, the wait must be told even if the holder stays the same.
    this.#task?.note(description);
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
    throw new ResourceError(`the lock is held by ${description}, which has not renewed it for ${seconds} s`, {
      file: this.#path,
      fix: 'If that process no longer runs, delete this file and run the same command again.',
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

/** Creates the lock if there is none. */
async function create(path: string, lock: string): Promise<boolean> {
  // Before the lock is visible: other calls in this process must recognise it as this process's own.
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

/** Error codes of file systems without hard links. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** The lock is empty for a moment, and stays so if its writer is killed in that moment: see {@link isOld}. */
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

/** Writes the lock's content into a neighbouring file for `use`, and removes that file afterwards. */
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
 * Replaces the lock of a holder that is gone. While this process holds the second lock, no other process may replace a lock of that
 * content. If it was replaced before, its content is different now.
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

/** Removes the lock, unless it was removed by hand and another process has taken it since. */
async function release(path: string, lock: string): Promise<void> {
  try {
    if ((await contentOf(path)) === lock) await rm(path, { force: true });
  } finally {
    HELD.delete(lock);
  }
}

/** Returns whether the process that wrote the lock ran on this machine and has ended. */
async function isGone(path: string, holder: string): Promise<boolean> {
  const owner = parseIdentity(holder);
  if (owner === undefined) return holder.trim() === '' && (await isOld(path));
  const life = lifeOf(owner);
  // Recognises a reused process id on systems that do not tell when a process started.
  if (life === 'here') return owner.start === undefined && !HELD.has(holder);
  return life === 'gone';
}

/** An empty lock is being written, or its writer was killed in that moment. */
async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > 10_000;
}
