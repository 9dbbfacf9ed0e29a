import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endBoundChild, spawnBound } from './bound-child.ts';
import { isRunning } from './process-identity.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'child-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function until(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let turn = 0; turn < 1000; turn++) {
    if (await holds()) return true;
    await sleep(50);
  }
  return false;
}

describe.skipIf(process.platform === 'win32')('spawnBound', () => {
  it.each([
    ['a program', 'exec sleep 60 & echo $! $$ > pids; wait'],
    ['one that refuses to end when asked', 'trap "" TERM INT HUP; sleep 60 & echo $! $$ > pids; wait; wait'],
  ])('ends %s and everything that it started if its parent is killed by force', async (_, script) => {
    const code = `
      import { spawnBound } from ${JSON.stringify(resolve('dist/system/index.js'))};
      spawnBound('sh', ['-c', ${JSON.stringify(script)}], { cwd: ${JSON.stringify(folder)}, stdio: ['ignore', 'ignore', 'ignore'] });
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
    const read = () => readFile(join(folder, 'pids'), 'utf8').catch(() => '');
    expect(await until(async () => (await read()).endsWith('\n'))).toBe(true);
    const pids = (await read()).trim().split(' ').map(Number);
    expect(pids.map((pid) => isRunning(pid, undefined))).toEqual([true, true]);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    expect(await until(() => !pids.some((pid) => isRunning(pid, undefined)))).toBe(true);
  });

  it('passes on output and exit code, and leaves nothing behind', async () => {
    const script = 'echo out; echo err >&2; sleep 60 >/dev/null 2>&1 & echo $! > pids; exit 7';
    const child = spawnBound('sh', ['-c', script], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    const texts = [child.stdout!, child.stderr!].map(async (stream) =>
      Buffer.concat(await stream.toArray()).toString(),
    );
    expect(await once(child, 'close')).toEqual([7, null]);
    expect(await Promise.all(texts)).toEqual(['out\n', 'err\n']);
    const left = Number(await readFile(join(folder, 'pids'), 'utf8'));
    expect(await until(() => !isRunning(left, undefined))).toBe(true);
  });

  it('keeps words with blanks and quotes unchanged, and exits with 127 if the program does not exist', async () => {
    const child = spawnBound('printf', ['%s|', 'a b', '"$HOME"', ''], { stdio: ['ignore', 'pipe', 'ignore'] });
    expect(Buffer.concat(await child.stdout!.toArray()).toString()).toBe('a b|"$HOME"||');
    const missing = spawnBound('no-such-program-here', [], { stdio: ['ignore', 'ignore', 'ignore'] });
    expect(await once(missing, 'exit')).toEqual([127, null]);
  });

  it('is ended with its whole group', async () => {
    const child = spawnBound('sh', ['-c', 'sleep 60 & echo $! > pids; wait'], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const read = () => readFile(join(folder, 'pids'), 'utf8').catch(() => '');
    expect(await until(async () => (await read()).endsWith('\n'))).toBe(true);
    endBoundChild(child);
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
    const left = Number(await read());
    expect(await until(() => !isRunning(left, undefined))).toBe(true);
    endBoundChild(child);
  });
});
