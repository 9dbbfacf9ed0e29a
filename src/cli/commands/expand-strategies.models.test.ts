import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readExpansions } from '../../data/index.ts';
import { STRATEGIES, strategySettings } from '../../strategies/index.ts';

/** The built program; `npm run test:models` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const WORDS = ['lagoon', 'hacksaw', 'monsoon'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strategies-models-'));
  await mkdir(join(folder, 'qrels'));
  const texts = WORDS.flatMap((word) => [`A ${word} is a thing.`, `The word ${word} is old, and long known.`]);
  const documents = texts.map((text, at) => JSON.stringify({ _id: `d${at}`, title: '', text }));
  await writeFile(join(folder, 'corpus.jsonl'), `${documents.join('\n')}\n`);
  const queries = WORDS.map((word) => JSON.stringify({ _id: word, text: `What is a ${word}?` }));
  await writeFile(join(folder, 'queries.jsonl'), `${queries.join('\n')}\n`);
  await writeFile(join(folder, 'qrels', 'test.tsv'), WORDS.map((word) => `${word}\td0\t1\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

function start(strategy: string, out: string) {
  const words = ['expand', '--dataset', folder, '--strategy', strategy, '--out', out, '--max-tokens', '16'];
  const options = ['--threads', '2', '--deterministic', '--json'];
  return spawn(process.execPath, [MAIN, ...words, ...options], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Texts in the journals of all steps. */
async function textsIn(out: string): Promise<number> {
  const steps = out.replace(/\.jsonl$/, '.steps');
  const inside = (await readdir(steps).catch(() => [])).map((name) => join(steps, name));
  const journals = [`${out}.journal`, ...inside.filter((name) => name.endsWith('.journal'))];
  const contents = await Promise.all(journals.map((file) => readFile(file, 'utf8').catch(() => '')));
  return contents.join('').split('\n').length - 1;
}

describe('strategies with the default model', () => {
  it.each(STRATEGIES)('$name writes its expansions', async (strategy) => {
    const out = join(folder, strategy.name, 'expansions.jsonl');
    expect(await once(start(strategy.name, out), 'close')).toEqual([0, null]);
    const expansions = await readExpansions(out);
    expect([...expansions.keys()]).toEqual(WORDS);
    const wanted = strategy.expansions(strategySettings(strategy));
    for (const records of expansions.values()) expect(records).toHaveLength(wanted);
    const all = [...expansions.values()].flat();
    expect(all.every(({ completionTokens }) => completionTokens > 0)).toBe(true);
    expect(all.some(({ emptyBecause }) => emptyBecause === 'promptTooLong')).toBe(false);
  });

  it('in a benchmark, say that prompts held fewer documents than found', async () => {
    const words = ['benchmark', folder, '--out', join(folder, 'benchmark'), '--context', '70', '--threads', '2'];
    const system = ['--system', 'lamer=bm25,strategy=lamer,samples=1,max-tokens=8'];
    const child = spawn(process.execPath, [MAIN, ...words, ...system], { stdio: ['ignore', 'ignore', 'pipe'] });
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    expect(code).toBe(0);
    expect(said).toMatch(/3 prompts held fewer documents than found: raise --context/);
  });

  it('resume after kill -9 in any step, and give the files of an uninterrupted run, byte for byte', async () => {
    const out = join(folder, 'killed', 'expansions.jsonl');
    for (const texts of [2, 8, 14]) {
      const killed = start('thinkqe', out);
      while ((await textsIn(out)) < texts) await sleep(20);
      killed.kill('SIGKILL');
      await once(killed, 'close');
    }
    expect(await textsIn(out)).toBeLessThan(18);
    expect(await once(start('thinkqe', out), 'close')).toEqual([0, null]);
    for (const name of ['expansions.jsonl', 'queries_thinkqe.jsonl']) {
      const whole = await readFile(join(folder, 'thinkqe', name), 'utf8');
      expect(await readFile(join(folder, 'killed', name), 'utf8')).toBe(whole);
    }
    expect(await textsIn(out)).toBe(18);
  });
});
