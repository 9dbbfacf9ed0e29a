import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AbortedError } from './errors.ts';
import { withFileLock } from './file-lock.ts';

let folder: string;
let lock: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'));
  lock = join(folder, 'lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('withFileLock', () => {
  test('two at once do their work one after the other', async () => {
    const events: string[] = [];
    const work = (name: string) => async () => {
      events.push(`${name} begins`);
      await sleep(50);
      events.push(`${name} ends`);
    };
    const first = withFileLock(lock, work('a'));
    await sleep(10);
    await Promise.all([first, withFileLock(lock, work('b'))]);
    expect(events).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
    expect(existsSync(lock)).toBe(false);
  });

  test('many at once never overlap', async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await sleep(1);
      inside--;
    };
    await Promise.all(Array.from({ length: 12 }, () => withFileLock(lock, work)));
    expect(most).toBe(1);
  });

  test('a lock is given back when the work fails', async () => {
    const fail = () => Promise.reject(new Error('no'));
    await expect(withFileLock(lock, fail)).rejects.toThrow('no');
    expect(existsSync(lock)).toBe(false);
  });

  test('the lock of a process that is gone, or of a namesake from before a restart, is taken over', async () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    for (const pid of [gone, process.pid]) {
      await writeFile(lock, `${pid} ${hostname()}\n`);
      expect(await withFileLock(lock, async () => 'done')).toBe('done');
    }
  });

  test('an empty lock is taken over once it is old', async () => {
    await writeFile(lock, '');
    await utimes(lock, 0, 0);
    expect(await withFileLock(lock, async () => 'done')).toBe('done');
  });

  test('a live lock and one of another machine are waited for, and the wait can be stopped', async () => {
    for (const holder of [`${process.ppid} ${hostname()}`, '1 elsewhere']) {
      await writeFile(lock, holder);
      const told: string[] = [];
      const signal = AbortSignal.timeout(300);
      const attempt = withFileLock(lock, async () => 'done', { signal, onWait: (name) => told.push(name) });
      await expect(attempt).rejects.toBeInstanceOf(AbortedError);
      expect(told).toEqual([holder]);
      expect(existsSync(lock)).toBe(true);
    }
  });
});
