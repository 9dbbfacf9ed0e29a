import { type ChildProcess, execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const POLL_MILLISECONDS = 100;

/**
 * Ends a program and all that it started, directly or not: first by asking (SIGTERM), and after some time by force. To
 * signal a group of processes is not enough, since torchrun gives each worker a session of its own.
 * @param graceSeconds how long they may take to end by themselves
 */
export async function endProcessTree(child: ChildProcess, graceSeconds: number): Promise<void> {
  if (child.pid === undefined) return;
  const tree = treeOf(child.pid, await livingProcesses());
  signalAll(tree, 'SIGTERM');
  const deadline = performance.now() + graceSeconds * 1000;
  while (performance.now() < deadline && (await areAlive(tree))) await sleep(POLL_MILLISECONDS);
  for (const pid of treeOf(child.pid, await livingProcesses())) tree.add(pid);
  signalAll(tree, 'SIGKILL');
}

/** Numbers of processes that live, and of their parents; what has ended and waits for its parent to hear is not alive. */
type Processes = ReadonlyMap<number, number>;

/** A process and those below it. */
function treeOf(root: number, processes: Processes): Set<number> {
  const tree = new Set([root]);
  for (const pid of tree) for (const [child, parent] of processes) if (parent === pid) tree.add(child);
  return tree;
}

async function areAlive(tree: ReadonlySet<number>): Promise<boolean> {
  const processes = await livingProcesses();
  return [...tree].some((pid) => processes.has(pid));
}

/** From /proc, or where there is none from `ps`. Empty on Windows, which has neither. */
async function livingProcesses(): Promise<Processes> {
  const names = await readdir('/proc').catch((): string[] => []);
  const numbers = names.filter((name) => /^\d+$/.test(name));
  return numbers.length > 0 ? fromProc(numbers) : fromPs();
}

async function fromProc(numbers: readonly string[]): Promise<Processes> {
  const processes = new Map<number, number>();
  for (const pid of numbers) {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // "pid (name) state parent ...": the name may hold anything, a closing bracket too.
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
      // It has ended meanwhile.
    }
  }
}
