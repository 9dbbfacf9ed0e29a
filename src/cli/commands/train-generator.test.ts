import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { llmQe } from '../../../test/support/command-line.ts';
import { tinyPairs } from '../../../test/support/tiny-pairs.ts';

const BASE = join(import.meta.dirname, '../../nn/goldens/llama');

let folder: string;
let pairs: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'train-generator-command-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  pairs = join(folder, 'pairs.jsonl');
  const equal = tinyPairs(12)
    .slice(0, 1)
    .map((pair) => ({ ...pair, id: 'equal', rejected: pair.chosen }));
  const lines = [...tinyPairs(12), ...equal].map((pair) => JSON.stringify(pair));
  await writeFile(pairs, `${lines.join('\n')}\n`);
});
afterAll(() => {
  vi.unstubAllEnvs();
  return rm(folder, { recursive: true });
});

function train(...words: string[]) {
  const given = ['--pairs', pairs, '--base', BASE, '--max-length', '120', '--threads', '1'];
  return llmQe('train', 'generator', ...given, ...words);
}

test('trains an adapter, and tells what was left out', async () => {
  const out = join(folder, 'run');
  const {
    code,
    out: printed,
    log,
  } = await train('--out', out, '--epochs', '1', '--batch-size', '4', '--dev-size', '2', '--json');
  expect(log).toContain('chosen equals rejected: 1');
  expect(code).toBe(0);
  const document = JSON.parse(printed);
  expect(document).toMatchObject({ kind: 'adapter', steps: 3, train: { pairs: 10 }, dev: { pairs: 2 } });
  const config = JSON.parse(await readFile(join(document.path, 'adapter_config.json'), 'utf8'));
  expect(config).toMatchObject({ peft_type: 'LORA', base_model_name_or_path: BASE });
  const manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'));
  expect(manifest.inputs.file).toMatchObject({ path: pairs, skipped: { 'chosen equals rejected': 1 } });
});

test('losses by name and weight, in text', async () => {
  const words = ['--loss-type', 'sigmoid', '--loss-type', 'sft', '--loss-weights', '1', '--loss-weights', '0.5'];
  const { code, out } = await train('--out', join(folder, 'both'), '--max-steps', '2', '--dev-size', '0', ...words);
  expect(code).toBe(0);
  expect(out).toContain('dpo on 12 pairs, 0 held out, 2 steps (finished)');
});

test('SFT takes a pair whose sides are equal: it reads the chosen one alone', async () => {
  const words = ['--method', 'sft', '--max-steps', '1', '--dev-size', '0'];
  const { out, log } = await train('--out', join(folder, 'sft'), ...words);
  expect(out).toContain('sft on 13 pairs');
  expect(log).not.toContain('left out');
});

test.each([
  [['--loss-type', 'dpo'], /--loss-type/],
  [['--label-smoothing', '0.6'], /--label-smoothing/],
  [['--max-length', '100000'], /maxLength: 100000 tokens exceed the 128/],
  [['--lora-target-modules', 'query'], /no linear layer "query"/],
])('refuses %j', async (words, message) => {
  const { code, log } = await train('--out', join(folder, 'refused'), ...words);
  expect(code).toBe(2);
  expect(log).toMatch(message);
});
