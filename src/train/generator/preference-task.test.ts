import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Message } from '../../data/index.ts';
import { openCheckpoint } from '../../models/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { AdamW } from '../loop/optimizer.ts';
import { takeStep } from '../loop/step.ts';
import { parseTrainingSettings } from '../loop/training-settings.ts';
import type { TrainingTask } from '../loop/training-task.ts';
import { type TokenPair, tokenizePairs } from './chat-tokens.ts';
import { type GeneratorBase, openGeneratorBase } from './generator-base.ts';
import type { GeneratorStepOptions, LoraSettings } from './generator-step.ts';
import { type PreferenceLossSettings, preferenceLossShape } from './preference-losses.ts';
import { PreferenceTask } from './preference-task.ts';
import { withReference } from './reference-log-probabilities.ts';
import { SupervisedTask } from './supervised-task.ts';

const GOLDENS = fileURLToPath(new URL('../goldens/dpo', import.meta.url));
const BASE = fileURLToPath(new URL('../../nn/goldens/llama', import.meta.url));
const STEPS = 10;
const KEPT = { device: 'cpu', storage: 'f32' } as const;

type Step = Record<string, number>;
interface Run {
  method: 'dpo' | 'sft';
  full?: boolean;
  settings: Record<string, unknown>;
  steps: Step[];
  weightSums?: Record<string, [sum: number, squares: number]>;
}
interface Goldens {
  lora: { r: number; lora_alpha: number; lora_dropout: number; target_modules: string[] };
  beta: number;
  shared: Record<string, number | string>;
  pairs: Record<'prompt' | 'chosen' | 'rejected', Message[]>[];
  rows: {
    promptIds: number[];
    chosenIds: number[];
    rejectedIds: number[];
    referenceChosen: number;
    referenceRejected: number;
  }[];
  runs: Record<string, Run>;
}

const goldens: Goldens = JSON.parse(await readFile(join(GOLDENS, 'golden.json'), 'utf8'));
const { r, lora_alpha, lora_dropout, target_modules } = goldens.lora;
const LORA: LoraSettings = {
  ...{ loraR: r, loraAlpha: lora_alpha, loraDropout: lora_dropout, loraTargetModules: target_modules },
  useRslora: false,
};

let cache: string;
let base: GeneratorBase;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-preferences-'));
  const facts = { format: 'safetensors' as const, fingerprint: 'tiny llama', source: 'goldens' };
  base = await openGeneratorBase({ name: 'tiny', path: BASE, ...facts });
});
afterAll(async () => {
  await base.close();
  await rm(cache, { recursive: true });
});

const stepOptions = (own: Partial<GeneratorStepOptions> = {}): GeneratorStepOptions => ({
  ...{ lora: LORA, seed: 1, longest: 128, threads: 1, cache, mode: 'whole', memory: 1, ...KEPT },
  microBatchTokens: 4096,
  ...own,
});

const lossOf = (settings: Record<string, unknown> = {}): PreferenceLossSettings =>
  z.object(preferenceLossShape).parse({ beta: goldens.beta, ...settings });

async function tokensOf(maxLength: number): Promise<TokenPair[]> {
  const pairs = goldens.pairs.map((pair, index) => ({ id: `${index}`, ...pair }));
  return (await tokenizePairs(pairs, { tokenizer: base.tokenizer, template: base.template, maxLength })).pairs;
}

async function setParameters(parameters: Parameters, file: string): Promise<void> {
  const checkpoint = await openCheckpoint(join(GOLDENS, file));
  for (const name of parameters.names()) parameters.set(name, await checkpoint.read(name));
  await checkpoint.close();
}

/** The examples with the reference's log-probabilities, as training would compute them. */
const referenced = (task: PreferenceTask, pairs: readonly TokenPair[], microBatchTokens = 4096) =>
  withReference(task, pairs, { cache: join(cache, 'reference'), fingerprint: 'tiny', microBatchTokens, ...KEPT });

/** Settings of one golden run, under our names. */
function settingsOf(run: Run) {
  const all: Record<string, unknown> = { ...goldens.shared, ...run.settings };
  const accumulated = Number(all.gradient_accumulation_steps);
  return {
    perStep: Number(all.per_device_train_batch_size) * accumulated,
    maxLength: Number(all.max_length),
    training: parseTrainingSettings({
      learningRate: Number(all.learning_rate),
      warmupSteps: Number(all.warmup_steps),
      weightDecay: Number(all.weight_decay),
      maxGradNorm: Number(all.max_grad_norm),
    }),
  };
}

/** Takes the steps of a golden run over the examples in their given order, repeatedly, as that run did. */
async function trainAs<Example>(task: TrainingTask<Example>, examples: readonly Example[], run: Run): Promise<Step[]> {
  const { perStep, training } = settingsOf(run);
  const optimizer = new AdamW(task.parameters, training);
  const figures: Step[] = [];
  for (let step = 0; step < STEPS; step++) {
    const batch = Array.from({ length: perStep }, (_, index) => examples[(step * perStep + index) % examples.length]!);
    figures.push(await takeStep(task, optimizer, batch, { settings: training, step, steps: STEPS }));
  }
  return figures;
}

/** Every metric of the golden run except token counts, which TRL counts differently. */
function expectSteps(found: readonly Step[], expected: readonly Step[]): void {
  expect(found.length).toBe(expected.length);
  for (const [index, { tokens: _, ...figures }] of expected.entries()) {
    for (const [name, value] of Object.entries(figures)) {
      const difference = Math.abs(found[index]![name]! - value);
      expect(difference, `${name} of step ${index + 1}`).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
    }
  }
}

async function expectWeights(parameters: Parameters, file: string): Promise<void> {
  const checkpoint = await openCheckpoint(join(GOLDENS, file));
  expect(parameters.names().sort()).toEqual(
    checkpoint
      .tensors()
      .map(({ name }) => name)
      .sort(),
  );
  for (const name of parameters.names()) {
    const expected = await checkpoint.read(name);
    const found = parameters.get(name);
    expect(Math.max(...expected.map((value, index) => Math.abs(value - found[index]!)))).toBeLessThan(1e-4);
  }
  await checkpoint.close();
}

const runsOf = (method: Run['method'], full = false) =>
  Object.entries(goldens.runs).filter(([, run]) => run.method === method && (run.full ?? false) === full);

/** TRL's options of the loss under our names. */
function lossSettings({ settings }: Run): PreferenceLossSettings {
  const { loss_type, loss_weights, label_smoothing } = settings;
  return lossOf({
    lossType: loss_type,
    ...(loss_weights !== undefined && { lossWeights: loss_weights }),
    ...(label_smoothing !== undefined && { labelSmoothing: label_smoothing }),
  });
}

test("tokens and reference log-probabilities are TRL's", async () => {
  const pairs = await tokensOf(128);
  const task = await PreferenceTask.open(base, { ...stepOptions(), loss: lossOf() });
  // The reference has its adapter off, whatever its values.
  await setParameters(task.parameters, 'sigmoid.safetensors');
  const examples = await referenced(task, pairs);
  await task.close();
  for (const [index, row] of goldens.rows.entries()) {
    const { prompt, chosen, rejected, reference } = examples[index]!;
    expect([[...prompt], [...chosen], [...rejected]]).toEqual([row.promptIds, row.chosenIds, row.rejectedIds]);
    expect(Math.abs(reference[0] - row.referenceChosen)).toBeLessThan(1e-3);
    expect(Math.abs(reference[1] - row.referenceRejected)).toBeLessThan(1e-3);
  }
});

describe("ten steps are those of TRL's DPOTrainer and PEFT", () => {
  test.each(runsOf('dpo'))('%s', async (name, run) => {
    const task = await PreferenceTask.open(base, { ...stepOptions(), loss: lossSettings(run) });
    await setParameters(task.parameters, 'initial.safetensors');
    const examples = await referenced(task, await tokensOf(settingsOf(run).maxLength));
    expectSteps(await trainAs(task, examples, run), run.steps);
    await expectWeights(task.parameters, `${name}.safetensors`);
    await task.close();
  });
});

describe("ten steps are those of TRL's SFTTrainer", () => {
  const supervised = async (maxLength: number) =>
    (await tokensOf(maxLength)).map(({ id, prompt, chosen }) => ({ id, prompt, completion: chosen }));

  test.each(runsOf('sft'))('with an adapter: %s', async (name, run) => {
    const task = await SupervisedTask.open(base, stepOptions());
    await setParameters(task.parameters, 'initial.safetensors');
    expectSteps(await trainAs(task, await supervised(128), run), run.steps);
    await expectWeights(task.parameters, `${name}.safetensors`);
    await task.close();
  });

  test.each(runsOf('sft', true))('with every weight: %s', async (_, run) => {
    const task = await SupervisedTask.open(base, stepOptions({ lora: undefined }));
    expectSteps(await trainAs(task, await supervised(128), run), run.steps);
    const sums = Object.fromEntries(
      task.parameters.names().map((name) => {
        const data = task.parameters.get(name);
        return [name, [data.reduce((sum, one) => sum + one, 0), data.reduce((sum, one) => sum + one * one, 0)]];
      }),
    );
    expect(Object.keys(sums).sort()).toEqual(Object.keys(run.weightSums!).sort());
    for (const [name, [sum, squares]] of Object.entries(run.weightSums!)) {
      expect(Math.abs(sums[name]![0]! - sum), name).toBeLessThan(1e-3 * Math.max(1, Math.abs(sum)));
      expect(Math.abs(sums[name]![1]! - squares), name).toBeLessThan(1e-4 * squares);
    }
    await task.close();
  });
});
