import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

/**
 * Runs the program in place of the shell, so that the child's process id is the program's, and leaves a watcher in its group. The
 * watcher reads from a pipe whose other end only this process holds. When this process ends, in any way, the system closes the
 * pipe, and the watcher ends the group.
 */
const WATCHED =
  '( trap "" TERM INT HUP; read -r _ <&3; kill -s KILL -- -$$ ) </dev/null >/dev/null 2>&1 & exec "$@" 3<&-';

/**
 * Starts a program that ends with this process, together with everything that it starts in its own group, even if this process is
 * killed by force. The program leads its own group: Ctrl-C in the terminal reaches only this process, which must then end the
 * child. {@link endBoundChild} ends the group.
 *
 * If the program cannot be found or run, it ends with the shell's exit code, 127 or 126, and not with an `error` event. Windows has
 * neither groups nor the shell: the program is started directly there, and ended if this process exits normally.
 * @param stdio of the program: standard input, output and error
 */
export function spawnBound(
  command: string,
  words: readonly string[],
  { stdio, ...options }: SpawnOptions & { stdio: readonly ['ignore' | 'pipe', 'ignore' | 'pipe', 'ignore' | 'pipe'] },
): ChildProcess {
  if (process.platform === 'win32') return spawnUntilExit(command, words, { ...options, stdio: [...stdio] });
  const child = spawn('/bin/sh', ['-c', WATCHED, 'sh', command, ...words], {
    ...options,
    detached: true,
    stdio: [...stdio, 'pipe'],
  });
  // When the pipe is closed, the watcher ends what the program has left behind.
  child.once('exit', () => child.stdio[3]?.destroy());
  // The pipe must not keep this process alive, and a broken pipe is not a fault.
  const pipe = child.stdio[3];
  pipe?.on('error', () => {});
  if (pipe && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
  return child;
}

function spawnUntilExit(command: string, words: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, words, options);
  const end = () => child.kill();
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  return child;
}

/** Ends a child of {@link spawnBound} and everything that it started in its group. Does nothing if it has ended already. */
export function endBoundChild(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    if (process.platform === 'win32') child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // It has ended in the meantime.
  }
}
