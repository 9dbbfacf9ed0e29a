import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The built program, as a user starts it; `npm test` builds first. */
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');
const TINY = join(import.meta.dirname, '../generate/goldens/tiny-llama.gguf');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'run-'));
  await mkdir(join(folder, 'qrels'));
  await writeFile(join(folder, 'corpus.jsonl'), '{"_id":"d","title":"","text":"x"}\n');
  const ids = Array.from({ length: 3000 }, (_none, row) => `q${row}`);
  await writeFile(join(folder, 'queries.jsonl'), ids.map((id) => `{"_id":"${id}","text":"what is ${id}?"}\n`).join(''));
  await writeFile(join(folder, 'qrels', 'test.tsv'), ids.map((id) => `${id}\td\t1\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

/** Lets the embedded model write, and sends signals once it does. */
async function interrupt(name: string, signals: [NodeJS.Signals, milliseconds: number][]) {
  const words = ['expand', '--dataset', folder, '--generator', TINY, '--out', join(folder, name, 'expansions.jsonl')];
  const child = spawn(process.execPath, [MAIN, ...words, '--max-tokens', '64'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk) => {
    log += chunk;
  });
  const ended = once(child, 'close');
  while (!log.includes('writing expansions') && child.exitCode === null && child.signalCode === null) await sleep(5);
  for (const [signal, pause] of signals) {
    await sleep(pause);
    child.kill(signal);
  }
  const [code, killedBy] = await ended;
  return { code, killedBy, log };
}

describe('the command line, interrupted while llama.cpp computes', () => {
  it.concurrent.each([
    ['one signal', [['SIGINT', 300]]],
    [
      'two within 20 milliseconds',
      [
        ['SIGTERM', 250],
        ['SIGTERM', 15],
      ],
    ],
    [
      'three while the weights are loaded',
      [
        ['SIGINT', 0],
        ['SIGINT', 5],
        ['SIGTERM', 5],
      ],
    ],
  ] as [string, [NodeJS.Signals, number][]][])('ends in order after %s', async (name, signals) => {
    const { code, killedBy, log } = await interrupt(name, signals);
    expect({ code, killedBy }).toEqual({ code: 1, killedBy: null });
    expect(log).toMatch(/stopped\n {2}Run the same command again/);
    expect(log).not.toMatch(/terminate called|Napi|FATAL/);
    expect(log.match(/Run the same command again/g)).toHaveLength(1);
  });
});
