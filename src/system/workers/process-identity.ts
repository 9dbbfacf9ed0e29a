import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Identifies a process among all others, on this machine and on those that share a folder with it. */
export interface ProcessIdentity {
  pid: number;
  host: string;
  /** Start time in ticks since the machine was started, because process ids are reused. Known on Linux. */
  start?: string | undefined;
  /** Distinguishes machines with the same host name. Known on Linux. */
  machine?: string | undefined;
  /** Changes whenever the machine is started. Known on Linux. */
  boot?: string | undefined;
  /** Containers number their processes separately, even with the same host name. Known on Linux. */
  namespace?: string | undefined;
}

let mine: ProcessIdentity | undefined;

/** Returns the identity of this process. */
export function thisProcess(): ProcessIdentity {
  mine ??= {
    pid: process.pid,
    host: hostname(),
    start: stateOf(process.pid)?.start,
    machine: shortHash(tryTo(() => readFileSync('/etc/machine-id', 'utf8'))),
    boot: shortHash(tryTo(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))),
    namespace: shortHash(tryTo(() => readlinkSync('/proc/self/ns/pid'))),
  };
  return mine;
}

/** Returns the identity of a process that this process has started. */
export function identityOf(pid: number): ProcessIdentity {
  return { ...thisProcess(), pid, start: stateOf(pid)?.start };
}

/**
 * Returns whether an identity can only be that of the process it was written for: it names the start of process and machine. Without
 * them, as on systems that do not tell, the id may be reused, or written by somebody who only knows a number.
 */
export function isExact({ start, boot }: ProcessIdentity): boolean {
  return start !== undefined && boot !== undefined;
}

/** Formats an identity as one line for {@link parseIdentity}: `123 my-host start machine boot namespace`. */
export function formatIdentity({ pid, host, start, machine, boot, namespace }: ProcessIdentity): string {
  return [pid, host.replace(/\s/g, '_'), ...[start, machine, boot, namespace].map((word) => word ?? '-')].join(' ');
}

/** Parses an identity; undefined if the text does not name a process. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  const [pid, host, ...words] = text.trim().split(' ');
  if (pid === undefined || host === undefined || !/^\d{1,10}$/.test(pid)) return undefined;
  const [start, machine, boot, namespace] = words.map((word) => (word === '-' ? undefined : word));
  return { pid: Number(pid), host, start, machine, boot, namespace };
}

/** Returns whether a process runs: 'here' (it is this one), 'alive', 'gone', or 'unknown' if this machine cannot see it. */
export function lifeOf(owner: ProcessIdentity): 'here' | 'alive' | 'gone' | 'unknown' {
  const self = thisProcess();
  const differs = (key: 'machine' | 'boot' | 'namespace') =>
    owner[key] !== undefined && self[key] !== undefined && owner[key] !== self[key];
  if (owner.host !== self.host.replace(/\s/g, '_') || differs('machine')) return 'unknown';
  // Only a known machine can be known to have restarted: another machine may have its name.
  if (differs('boot')) return owner.machine !== undefined && owner.machine === self.machine ? 'gone' : 'unknown';
  if (differs('namespace')) return 'unknown';
  return isRunning(owner.pid, owner.start) ? (owner.pid === self.pid ? 'here' : 'alive') : 'gone';
}

/** Returns whether a process of this machine runs and has this start time. */
export function isRunning(pid: number, start: string | undefined): boolean {
  const state = stateOf(pid);
  if (state !== undefined) return !state.hasEnded && (start === undefined || start === state.start);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

/** Reads /proc; undefined if there is none. */
function stateOf(pid: number): { start: string; hasEnded: boolean } | undefined {
  const text = tryTo(() => readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? '';
  // "pid (name) state ...": the name may contain anything, including a closing bracket.
  const values = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const start = values[19];
  // An ended process stays in the list until its parent has collected it.
  return start === undefined ? undefined : { start, hasEnded: /^[ZX]/.test(values[0]!) };
}

/** Six hexadecimal digits. */
export function shortHash(text: string | undefined): string | undefined {
  return text === undefined ? undefined : createHash('sha256').update(text.trim()).digest('hex').slice(0, 6);
}

function tryTo(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
