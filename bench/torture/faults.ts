import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import type { WorkerOptions } from 'node:worker_threads';
import workerThreads, { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';

/**
 * Loaded before a command (`node --import`) and in each of its worker threads: counts the file operations that change anything, over
 * all threads, and at the n-th one kills the process or makes the disk full from there on. `TORTURE_MODE` is count, kill or full; `TORTURE_AT` is n; `TORTURE_PHASE` is the moment:
 * before the operation, halfway through a write, or after it.
 */
const mode = process.env.TORTURE_MODE;
const at = Number(process.env.TORTURE_AT);
const phase = process.env.TORTURE_PHASE;

/** Operations that need disk space; renaming and removing do not. */
const NEEDS_ROOM = new Set([
  'open',
  'writeFile',
  'appendFile',
  'mkdir',
  'mkdtemp',
  'link',
  'symlink',
  'copyFile',
  'write',
  'writev',
]);
const CHANGES = [...NEEDS_ROOM, 'rename', 'rm', 'rmdir', 'unlink', 'truncate', 'utimes', 'sync', 'datasync'];

type Operation = (...given: unknown[]) => Promise<unknown>;

/** Counts the operations of all threads, and apart from that those of worker threads. */
const counters = sharedCounters();

function sharedCounters(): Int32Array {
  const name = 'llm-qe-torture';
  const known = getEnvironmentData(name) as SharedArrayBuffer | undefined;
  const shared = known ?? new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
  // New threads get it from the thread that starts them.
  setEnvironmentData(name, shared);
  return new Int32Array(shared);
}

/** Returns the number of the operation that begins now. */
function next(): number {
  if (!isMainThread) Atomics.add(counters, 1, 1);
  return Atomics.add(counters, 0, 1) + 1;
}

function full(name: string, path: unknown): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(`ENOSPC: no space left on device, ${name}`);
  return Object.assign(error, { code: 'ENOSPC', errno: -28, syscall: name, ...(typeof path === 'string' && { path }) });
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}

/** Returns half of the content, for writes whose first argument is the content. */
function half(name: string, given: readonly unknown[]): unknown[] | undefined {
  const [content, offset, length, position] = given;
  if (name !== 'write' && name !== 'writeFile') return undefined;
  if (typeof content === 'string' && content.length > 1) return [content.slice(0, content.length >> 1)];
  if (content instanceof Uint8Array && typeof offset === 'number' && typeof length === 'number') {
    return length > 1 ? [content, offset, length >> 1, position] : undefined;
  }
  if (content instanceof Uint8Array && content.byteLength > 1) return [content.subarray(0, content.byteLength >> 1)];
  return undefined;
}

function isOutside(name: string, given: readonly unknown[]): boolean {
  if (name !== 'open') return typeof given[0] === 'string' && /^\/(dev|proc)\//.test(given[0]);
  const flags = given[1] ?? 'r';
  return flags === 'r' || flags === fs.constants.O_RDONLY || /^\/(dev|proc)\//.test(String(given[0]));
}

function guard(target: object, name: string, isHandle: boolean): void {
  const own = Reflect.get(target, name) as Operation | undefined;
  if (own === undefined) return;
  const guarded = async function (this: unknown, ...given: unknown[]): Promise<unknown> {
    if (!isHandle && isOutside(name, given)) return own.apply(this, given);
    const number = next();
    const begun = isHandle && number === at && phase === 'half' ? half(name, given) : undefined;
    if (mode === 'kill' && number === at) {
      if (begun !== undefined) await own.apply(this, begun);
      if (phase === 'after') await own.apply(this, given);
      die();
    }
    if (mode === 'full' && number >= at && NEEDS_ROOM.has(name)) {
      if (begun !== undefined) await own.apply(this, begun);
      throw full(name, given[0]);
    }
    return own.apply(this, given);
  };
  Reflect.set(target, name, guarded);
}

/** Streams write with the callback functions of `node:fs`. */
function guardStreams(): void {
  for (const name of ['write', 'writev'] as const) {
    const own = fs[name] as (...given: unknown[]) => void;
    Reflect.set(fs, name, (...given: unknown[]) => {
      const number = next();
      if (mode === 'kill' && number === at) die();
      if (mode !== 'full' || number < at) return own(...given);
      const done = given.at(-1) as (error: Error) => void;
      setImmediate(done, full(name, undefined));
    });
  }
}

/** Worker threads load this module too, whatever flags they are started with. */
class WatchedWorker extends workerThreads.Worker {
  constructor(file: string | URL, options: WorkerOptions = {}) {
    super(file, { ...options, execArgv: [...(options.execArgv ?? []), '--import', import.meta.url] });
  }
}

if (mode !== undefined) {
  Reflect.set(workerThreads, 'Worker', WatchedWorker);
  const handle = await fs.promises.open('/dev/null');
  const prototype: object = Object.getPrototypeOf(handle);
  await handle.close();
  for (const name of CHANGES) {
    guard(fs.promises, name, false);
    guard(prototype, name, true);
  }
  guardStreams();
  syncBuiltinESMExports();
  const { TORTURE_COUNT: file } = process.env;
  const report = fs.writeFileSync;
  if (isMainThread && file) process.on('exit', () => report(file, `${counters[0]} ${counters[1]}`));
}
