import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const POLL_MILLISECONDS = 100;

/**
 * Ends a program and all its descendants: first with SIGTERM, then, after a grace period, with SIGKILL. Signalling a
 * process group is not enough, because torchrun gives each worker its own session.
 * @param root process id of the program
 * @param graceSeconds time that the processes have to end by themselves
 */
export async function endProcessTree(root: number, graceSeconds: number): Promise<void> {
  const tree = treeOf(root, await livingProcesses());
  signalAll(tree, 'SIGTERM');
  const deadline = performance.now() + graceSeconds * 1000;
  while (performance.now() < deadline && (await areAlive(tree))) await sleep(POLL_MILLISECONDS);
  for (const pid of treeOf(root, await livingProcesses())) tree.add(pid);
  signalAll(tree, 'SIGKILL');
}

/**
 * Identifies a process by its id and start time, because ids are reused. Undefined if it is not running or the system
 * does not report it.
 */
export async function processMark(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The 22nd value, counting "pid (name)" as two: start time in ticks since boot.
  const values = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (values[19] !== undefined) return isEnded(values[0]!) ? undefined : `${pid} ${values[19]}`;
  const words = ['-o', 'stat=,lstart=', '-p', `${pid}`];
  const { stdout } = await promisify(execFile)('ps', words).catch(() => ({ stdout: '' }));
  const [state, ...started] = stdout.trim().split(/\s+/);
  return started.length === 0 || isEnded(state!) ? undefined : `${pid} ${started.join(' ')}`;
}

/** Ids of running processes and of their parents. Zombies do not count as running. */
type Processes = ReadonlyMap<number, number>;

/** A process and its descendants. */
function treeOf(root: number, processes: Processes): Set<number> {
  const tree = new Set([root]);
  for (const pid of tree) for (const [child, parent] of processes) if (parent === pid) tree.add(child);
  return tree;
}

async function areAlive(tree: ReadonlySet<number>): Promise<boolean> {
  const processes = await livingProcesses();
  return [...tree].some((pid) => processes.has(pid));
}

/** Read from /proc, or from `ps` if there is no /proc. Empty on Windows, which has neither. */
async function livingProcesses(): Promise<Processes> {
  const names = await readdir('/proc').catch((): string[] => []);
  const numbers = names.filter((name) => /^\d+$/.test(name));
  return numbers.length > 0 ? fromProc(numbers) : fromPs();
}

async function fromProc(numbers: readonly string[]): Promise<Processes> {
  const processes = new Map<number, number>();
  for (const pid of numbers) {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // "pid (name) state parent ...": the name may contain anything, even a closing bracket.
    const [state, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    if (parent !== undefined && !isEnded(state!)) processes.set(Number(pid), Number(parent));
  }
  return processes;
}

async function fromPs(): Promise<Processes> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,stat=']).catch(() => ({ stdout: '' }));
  const processes = new Map<number, number>();
  for (const row of stdout.split('\n')) {
    const [pid, parent, state] = row.trim().split(/\s+/);
    if (state !== undefined && !isEnded(state)) processes.set(Number(pid), Number(parent));
  }
  return processes;
}

function isEnded(state: string): boolean {
  return /^[ZX]/.test(state);
}

function signalAll(pids: Iterable<number>, signal: 'SIGTERM' | 'SIGKILL'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has already ended.
    }
  }
}
