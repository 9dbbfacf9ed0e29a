import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyPairs } from '../../../test/support/tiny-pairs.ts';

/** The built program, as a user starts it; `npm test` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const BASE = join(import.meta.dirname, '../../nn/goldens/llama');

let folder: string;
let pairs: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'train-generator-command-'));
  pairs = join(folder, 'pairs.jsonl');
  const equal = tinyPairs(12)
    .slice(0, 1)
    .map((pair) => ({ ...pair, id: 'equal', rejected: pair.chosen }));
  const lines = [...tinyPairs(12), ...equal].map((pair) => JSON.stringify(pair));
  await writeFile(pairs, `${lines.join('\n')}\n`);
});
afterAll(() => rm(folder, { recursive: true }));

function train(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [MAIN, 'train', 'generator', '--pairs', pairs, '--base', BASE, '--max-length', '120', '--threads', '1', ...words],
    { encoding: 'utf8', env: { ...process.env, LLM_QE_HOME: join(folder, 'home') } },
  );
  return { status, stdout, stderr };
}

test('trains an adapter, and tells what was left out', async () => {
  const out = join(folder, 'run');
  const { status, stdout, stderr } = train(
    '--out',
    out,
    '--epochs',
    '1',
    '--batch-size',
    '4',
    '--dev-size',
    '2',
    '--json',
  );
  expect(stderr).toContain('chosen equals rejected: 1');
  expect(status).toBe(0);
  const document = JSON.parse(stdout);
  expect(document).toMatchObject({ kind: 'adapter', steps: 3, train: { pairs: 10 }, dev: { pairs: 2 } });
  const config = JSON.parse(await readFile(join(document.path, 'adapter_config.json'), 'utf8'));
  expect(config).toMatchObject({ peft_type: 'LORA', base_model_name_or_path: BASE });
  const manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'));
  expect(manifest.inputs.file).toMatchObject({ path: pairs, skipped: { 'chosen equals rejected': 1 } });
});

test('losses by name and weight, in text', () => {
  const words = ['--loss-type', 'sigmoid', '--loss-type', 'sft', '--loss-weights', '1', '--loss-weights', '0.5'];
  const { status, stdout } = train('--out', join(folder, 'both'), '--max-steps', '2', '--dev-size', '0', ...words);
  expect(status).toBe(0);
  expect(stdout).toContain('dpo on 12 pairs, 0 held out, 2 steps (finished)');
});

test('SFT takes a pair whose sides are equal: it reads the chosen one alone', () => {
  const words = ['--method', 'sft', '--max-steps', '1', '--dev-size', '0'];
  const { stdout, stderr } = train('--out', join(folder, 'sft'), ...words);
  expect(stdout).toContain('sft on 13 pairs');
  expect(stderr).not.toContain('left out');
});

test.each([
  [['--loss-type', 'dpo'], /--loss-type/],
  [['--label-smoothing', '0.6'], /--label-smoothing/],
  [['--max-length', '100000'], /maxLength: 100000 tokens exceed the 128/],
  [['--lora-target-modules', 'query'], /no linear layer "query"/],
])('refuses %j', (words, message) => {
  const { status, stderr } = train('--out', join(folder, 'refused'), ...words);
  expect(status).toBe(2);
  expect(stderr).toMatch(message);
});
