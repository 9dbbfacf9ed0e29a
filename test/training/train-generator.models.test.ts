import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTokenScorer, scoreTokens } from '../../src/generate/index.ts';
import { DEFAULT_GENERATOR, ModelStore, type ResolvedModel } from '../../src/models/index.ts';
import { tokenizePairs } from '../../src/train/generator/chat-tokens.ts';
import { openGeneratorBase } from '../../src/train/generator/generator-base.ts';
import { trainGenerator } from '../../src/train/generator/train-generator.ts';
import { readMetrics } from '../../src/train/loop/metrics.ts';
import { tinyPairs } from '../support/tiny-pairs.ts';

let folder: string;
let base: ResolvedModel;
beforeAll(async () => {
  base = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
  folder = await mkdtemp(join(tmpdir(), 'train-generator-'));
});
afterAll(() => rm(folder, { recursive: true }));

test("tokens of the default model are llama.cpp's", async () => {
  const opened = await openGeneratorBase(base);
  const { tokenizer, template } = opened;
  const pairs = tinyPairs(20);
  pairs[0]!.chosen[0]!.content = "Ein „Werkzeug“ 🙂: don't,  12,345\n\n日本語.";
  const { pairs: tokens } = await tokenizePairs(pairs, { tokenizer, template, maxLength: 512 });
  const scorer = await openTokenScorer(base.path);
  for (const [index, { prompt, chosen }] of pairs.entries()) {
    const text = template.render([...prompt, ...chosen], { addGenerationPrompt: false });
    expect([...tokens[index]!.prompt, ...tokens[index]!.chosen]).toEqual([...scorer.tokenize(text)]);
  }
  await scorer.close();
  await opened.close();
});

test('DPO of the default model learns to prefer, and its adapter does so in the embedded runtime', async () => {
  const pairs = tinyPairs(4);
  const settings = { batchSize: 4, maxSteps: 3, devSize: 0, learningRate: 5e-4, maxLength: 200 };
  const { path } = await trainGenerator({ base, pairs, out: join(folder, 'dpo'), settings });
  const records = await readMetrics(join(folder, 'dpo'));
  expect(records[0]!.values.loss).toBeCloseTo(Math.log(2), 3);
  expect(records[2]!.values.margin).toBeGreaterThan(0);
  // What llama.cpp makes of the adapter: it was measured one step later than the last figures.
  const opened = await openGeneratorBase(base);
  const { pairs: tokens } = await tokenizePairs(pairs, { ...opened, maxLength: 200 });
  await opened.close();
  const sequences = tokens.flatMap(({ prompt, chosen, rejected }) =>
    [chosen, rejected].map((side) => ({ tokens: [...prompt, ...side], from: prompt.length })),
  );
  const sums = async (adapters: { path: string }[]) =>
    (await scoreTokens(base.path, sequences, { adapters })).map((logs) => logs.reduce((sum, one) => sum + one, 0));
  const [before, after] = [await sums([]), await sums([{ path }])];
  const changes = after.map((sum, index) => sum - before[index]!);
  const margins = tokens.map((_, index) => 0.1 * (changes[2 * index]! - changes[2 * index + 1]!));
  expect(margins.reduce((sum, one) => sum + one, 0) / margins.length).toBeGreaterThan(records[2]!.values.margin!);
}, 900_000);
