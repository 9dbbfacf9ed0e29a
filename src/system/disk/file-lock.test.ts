import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AbortedError, ResourceError } from '../errors.ts';
import { formatIdentity, thisProcess } from '../workers/process-identity.ts';
import { withFileLock } from './file-lock.ts';

let folder: string;
let lock: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'));
  lock = join(folder, 'lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program that takes the lock of each round and notes when it is inside. */
function contender(place: string, rounds: number): string {
  return `
    import { appendFileSync, readFileSync } from 'node:fs';
    import { setTimeout as sleep } from 'node:timers/promises';
    import { withFileLock } from ${JSON.stringify(resolve('dist/system/index.js'))};
    const place = ${JSON.stringify(place)};
    let start = 0;
    appendFileSync(place + '/ready', '.');
    while (start === 0) {
      try { start = Number(readFileSync(place + '/start', 'utf8')); } catch { await sleep(1); }
    }
    for (let round = 0; round < ${rounds}; round++) {
      const folder = place + '/' + round;
      await sleep(start + round * 40 - Date.now());
      await withFileLock(folder + '/lock', async () => {
        appendFileSync(folder + '/events', 'in ' + process.pid + '\\n');
        await sleep(1);
        appendFileSync(folder + '/events', 'out ' + process.pid + '\\n');
      });
    }`;
}

/** A promise that is settled from outside. */
function signalOnce(): { raised: Promise<void>; raise: () => void } {
  let raise = () => {};
  const raised = new Promise<void>((resolve) => {
    raise = resolve;
  });
  return { raised, raise };
}

describe('withFileLock', () => {
  test('two simultaneous holders work one after another', async () => {
    const events: string[] = [];
    const [isHeld, isWaitedFor] = [signalOnce(), signalOnce()];
    const first = withFileLock(lock, async () => {
      events.push('a begins');
      isHeld.raise();
      await isWaitedFor.raised;
      events.push('a ends');
    });
    await isHeld.raised;
    await withFileLock(lock, async () => void events.push('b'), { onWait: isWaitedFor.raise });
    await first;
    expect(events).toEqual(['a begins', 'a ends', 'b']);
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

  test('a lock is released if the work fails', async () => {
    const fail = () => Promise.reject(new Error('no'));
    await expect(withFileLock(lock, fail)).rejects.toThrow('no');
    expect(existsSync(lock)).toBe(false);
  });

  test('the lock of a process that has ended, or that had a reused process id, is taken over', async () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    for (const pid of [gone, process.pid]) {
      await writeFile(lock, `${pid} ${hostname()}\n`);
      expect(await withFileLock(lock, async () => 'done')).toBe('done');
    }
  });

  test('an empty lock is taken over when it is old', async () => {
    await writeFile(lock, '');
    await utimes(lock, 0, 0);
    expect(await withFileLock(lock, async () => 'done')).toBe('done');
  });

  test('a lock with the id of this process and another start time is taken over; one with its start time is waited for', async () => {
    const self = formatIdentity(thisProcess());
    const other = self.replace(/^(\d+ \S+) \d+/, '$1 1');
    if (other === self) return;
    await writeFile(lock, `${other} token\n`);
    expect(await withFileLock(lock, async () => 'done')).toBe('done');
    await writeFile(lock, `${self} token\n`);
    const attempt = withFileLock(lock, async () => 'done', { signal: AbortSignal.timeout(300) });
    await expect(attempt).rejects.toBeInstanceOf(AbortedError);
  });

  test('a lock from before a restart of the machine is taken over; one of another container is not', async () => {
    const self = thisProcess();
    if (self.machine === undefined || self.boot === undefined) return;
    await writeFile(lock, `${formatIdentity({ ...self, boot: 'other' })} token\n`);
    expect(await withFileLock(lock, async () => 'done')).toBe('done');
    for (const foreign of [{ namespace: 'other' }, { machine: 'other' }, { machine: undefined, boot: 'other' }]) {
      await writeFile(lock, `${formatIdentity({ ...self, ...foreign })} token\n`);
      const attempt = withFileLock(lock, async () => 'done', { signal: AbortSignal.timeout(250) });
      await expect(attempt).rejects.toBeInstanceOf(AbortedError);
    }
  });

  test('waiting for another machine ends with the path and the fix when its lock is no longer renewed', async () => {
    await writeFile(lock, '1 elsewhere\n');
    const renewal = setInterval(() => void utimes(lock, new Date(), new Date()), 50);
    const began = performance.now();
    setTimeout(() => clearInterval(renewal), 400);
    const error = await withFileLock(lock, async () => 'done', { silenceSeconds: 1.5 }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.message).toContain(`process 1 on elsewhere (lock: ${lock})`);
    expect(error.fix).toContain('delete this file');
    expect(performance.now() - began).toBeGreaterThan(1800);
    expect(await readFile(lock, 'utf8')).toBe('1 elsewhere\n');
  });

  test('shows which process it waits for, until it works', async () => {
    const events: string[] = [];
    const [isHeld, isWaitedFor] = [signalOnce(), signalOnce()];
    let notes = 0;
    const note = (text: string) => {
      // Told at every turn, so that a log of the progress shows the wait as long as it takes.
      if (++notes === 1) events.push(text);
      if (notes === 3) isWaitedFor.raise();
    };
    const task = { advance() {}, skip() {}, note, done: () => events.push('end') };
    const progress = {
      task: (label: string) => {
        events.push(label);
        return task;
      },
    };
    const first = withFileLock(lock, () => {
      isHeld.raise();
      return isWaitedFor.raised;
    });
    await isHeld.raised;
    await withFileLock(lock, async () => void events.push('work'), { progress, what: 'does it' });
    await first;
    expect(events).toEqual([
      'waiting for another process that does it',
      `process ${process.pid} on ${hostname()} (lock: ${lock})`,
      'end',
      'work',
    ]);
  });

  test('a lock that was removed by hand and taken by another process is not removed by its first holder', async () => {
    await withFileLock(lock, async () => {
      await rm(lock);
      await writeFile(lock, '1 elsewhere\n');
    });
    expect(await readFile(lock, 'utf8')).toBe('1 elsewhere\n');
  });

  /** In each round there is the lock of a process that has ended, and several processes request it at the same moment. */
  test('several processes take over the lock of an ended one, one after another, in every round', async () => {
    const [rounds, processes] = [30, 4];
    const script = join(folder, 'contender.mjs');
    await writeFile(script, contender(folder, rounds));
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    for (let round = 0; round < rounds; round++) {
      await mkdir(join(folder, `${round}`));
      await writeFile(join(folder, `${round}`, 'lock'), `${gone} ${hostname()}\n`);
    }
    const children = Array.from({ length: processes }, () => spawn(process.execPath, [script], { stdio: 'inherit' }));
    const exits = children.map((child) => once(child, 'exit'));
    while ((await readFile(join(folder, 'ready'), 'utf8').catch(() => '')).length < processes) await sleep(5);
    await writeFile(join(folder, 'start'), String(Date.now() + 100));
    expect(await Promise.all(exits)).toEqual(children.map(() => [0, null]));
    for (let round = 0; round < rounds; round++) {
      const events = (await readFile(join(folder, `${round}`, 'events'), 'utf8')).trim().split('\n');
      expect(events).toHaveLength(2 * processes);
      for (let at = 0; at < events.length; at += 2) expect(events[at + 1]).toBe(events[at]!.replace('in', 'out'));
      expect((await readdir(join(folder, `${round}`))).sort()).toEqual(['events']);
    }
  });

  test('a live lock and one of another machine are waited for, and the wait can be aborted', async () => {
    for (const holder of [`${process.ppid} ${hostname()}`, '1 elsewhere']) {
      await writeFile(lock, holder);
      const told: string[] = [];
      const signal = AbortSignal.timeout(300);
      const attempt = withFileLock(lock, async () => 'done', { signal, onWait: (name) => told.push(name) });
      await expect(attempt).rejects.toBeInstanceOf(AbortedError);
      const [pid, host] = holder.split(' ');
      expect(told).toEqual([`process ${pid} on ${host} (lock: ${lock})`]);
      expect(existsSync(lock)).toBe(true);
    }
  });
});
