import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The built program; `npm run test:models` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const QUESTIONS = ['lagoon', 'hacksaw', 'monsoon', 'bassoon', 'glacier', 'violin', 'comet', 'harbor'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'expand-models-'));
  await mkdir(join(folder, 'qrels'));
  await writeFile(join(folder, 'corpus.jsonl'), '{"_id":"d","title":"","text":"x"}\n');
  const lines = QUESTIONS.map((word) => JSON.stringify({ _id: word, text: `What is a ${word}?` }));
  await writeFile(join(folder, 'queries.jsonl'), `${lines.join('\n')}\n`);
});
afterAll(() => rm(folder, { recursive: true }));

function start(out: string) {
  const words = ['expand', '--dataset', folder, '--split', 'all', '--out', out, '--max-tokens', '12', '--samples', '2'];
  return spawn(process.execPath, [MAIN, ...words, '--threads', '2', '--deterministic', '--json'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

async function linesOf(file: string): Promise<number> {
  return (await readFile(file, 'utf8').catch(() => '')).split('\n').length - 1;
}

describe('llm-qe expand with the default model', () => {
  it('resumes after kill -9, and gives the files of an uninterrupted run, byte for byte', async () => {
    const out = join(folder, 'killed', 'expansions.jsonl');
    const killed = start(out);
    while ((await linesOf(`${out}.journal`)) < 5) await sleep(20);
    killed.kill('SIGKILL');
    await once(killed, 'close');
    const kept = await readFile(`${out}.journal`, 'utf8');
    expect(kept.split('\n').length - 1).toBeLessThan(16);

    expect(await once(start(out), 'close')).toEqual([0, null]);
    expect((await readFile(`${out}.journal`, 'utf8')).startsWith(kept.slice(0, kept.lastIndexOf('\n') + 1))).toBe(true);
    const whole = join(folder, 'whole', 'expansions.jsonl');
    expect(await once(start(whole), 'close')).toEqual([0, null]);
    for (const name of ['expansions.jsonl', 'queries_q2d.jsonl']) {
      expect(await readFile(join(folder, 'killed', name), 'utf8')).toBe(
        await readFile(join(folder, 'whole', name), 'utf8'),
      );
    }
    expect(await linesOf(out)).toBe(16);
  });
});
