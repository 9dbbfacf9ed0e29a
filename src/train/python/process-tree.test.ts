import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { endProcessTree, processMark } from './process-tree.ts';

const started: number[] = [];
afterEach(() => {
  for (const pid of started.splice(0)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended, as it should.
    }
  }
});

/** A program with a worker in its own session; it prints the worker's id. @param stubborn whether it ignores SIGTERM */
async function startTree(stubborn: boolean): Promise<{ child: ChildProcess; worker: number }> {
  const ignore = stubborn ? "process.on('SIGTERM', () => {});" : '';
  const worker = `${ignore} console.log(process.pid); setInterval(() => {}, 1000);`;
  const program = `${ignore} require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(worker)}],
    { detached: true, stdio: ['ignore', 1, 'ignore'] }); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', program], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const [text] = await once(child.stdout!, 'data');
  const tree = { child, worker: Number(String(text)) };
  started.push(child.pid!, tree.worker);
  return tree;
}

async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 1000; tries++) {
    const mark = await processMark(pid);
    if (mark === undefined) return true;
    await sleep(50);
  }
  return false;
}

test.each([
  ['that end when asked', false],
  ['that do not', true],
])('programs %s are gone, with workers in other sessions', async (_, stubborn) => {
  const { child, worker } = await startTree(stubborn);
  const exit = once(child, 'exit');
  await endProcessTree(child.pid!, stubborn ? 0.3 : 20);
  const [, signal] = await exit;
  expect(signal).toBe(stubborn ? 'SIGKILL' : 'SIGTERM');
  expect(await isGone(worker)).toBe(true);
});

test('a mark identifies one process, and there is none for an ended process', async () => {
  const { child, worker } = await startTree(false);
  const mark = await processMark(child.pid!);
  expect(mark).toMatch(new RegExp(`^${child.pid} .`));
  expect(await processMark(child.pid!)).toBe(mark);
  expect(await processMark(worker)).not.toBe(mark);
  const exit = once(child, 'exit');
  await endProcessTree(child.pid!, 5);
  await exit;
  expect(await processMark(child.pid!)).toBeUndefined();
});
