import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Checkpoint, openCheckpoint } from '../../models/index.ts';
import type { Head } from '../block-model.ts';
import { multiply, reduceSum } from '../operations/index.ts';
import type { Parameters } from '../parameters.ts';
import type { Values } from '../runtime-messages.ts';
import { type StepMode, type StepResult, TrainingStep } from '../training-step.ts';
import type { PlanOptions } from '../weight-plan.ts';
import { llamaLogits, llamaLogProbabilities, llamaModel } from './llama.ts';
import { llamaConfigSchema } from './llama-config.ts';

const GOLDENS = fileURLToPath(new URL('../goldens', import.meta.url));

interface Expected {
  ids: number[][];
  attentionMask: number[][];
  promptLengths: number[];
  logits: number[][][];
  completionLogProbabilities: number[][];
  lora: { r: number; alpha: number; targetModules: string[]; loss: number };
  full: { loss: number };
}

let cache: string;
const open: Checkpoint[] = [];
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-llama-'));
});
afterAll(async () => {
  await Promise.all(open.map((checkpoint) => checkpoint.close()));
  await rm(cache, { recursive: true, force: true });
});

async function load(name: string) {
  const folder = join(GOLDENS, name);
  const checkpoint = await openCheckpoint(folder);
  open.push(checkpoint);
  const config = llamaConfigSchema.parse(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
  const expected: Expected = JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8'));
  return { folder, checkpoint, config, expected };
}

const int32 = (shape: number[], data: number[]) => ({ dtype: 'int32' as const, shape, data: Int32Array.from(data) });

/** Makes a batch of padded texts, with every completion token scored, in chunks of three. */
function batchOf({ ids, attentionMask, promptLengths }: Expected): Values {
  const [batch, sequence] = [ids.length, ids[0]!.length];
  const shape = [batch, sequence];
  const real = attentionMask.flat();
  const scored: number[] = [];
  ids.forEach((row, text) => {
    const length = attentionMask[text]!.filter(Boolean).length;
    for (let at = promptLengths[text]!; at < length; at++) scored.push(text * row.length + at - 1);
  });
  while (scored.length % 3 !== 0) scored.push(0);
  const chunked = [scored.length / 3, 3];
  return {
    tokens: int32(shape, ids.flat()),
    positions: int32(
      shape,
      ids.flatMap((row) => row.map((_, at) => at)),
    ),
    text: int32(
      shape,
      real.map((one) => one - 1),
    ),
    branch: int32(
      shape,
      real.map(() => 0),
    ),
    scored: int32(chunked, scored),
    targets: int32(
      chunked,
      scored.map((at) => ids.flat()[at + 1]!),
    ),
    weights: { dtype: 'float32', shape: chunked, data: new Float32Array(scored.length) },
  };
}

const head =
  (config: ReturnType<typeof llamaConfigSchema.parse>): Head =>
  (weights, x) => {
    const logs = llamaLogProbabilities(weights, config, x);
    const share = weights.graph.input('weights', 'float32', ['chunks', 'rows']);
    return { loss: reduceSum(multiply(logs, share), [0, 1]), outputs: { logs } };
  };

async function stepOf(name: string, mode: StepMode, options: PlanOptions = {}) {
  const { folder, checkpoint, config, expected } = await load(name);
  const model = llamaModel(checkpoint, config, options);
  const settings = { cache, fingerprint: name, mode, memory: 0, largest: {}, threads: 1, device: 'cpu' as const };
  const { step, parameters } = await TrainingStep.open(model, head(config), settings);
  return { folder, step, parameters, expected };
}

const close = (found: ArrayLike<number>, expected: readonly number[], tolerance: number) => {
  expect(found.length).toBe(expected.length);
  expected.forEach((number, index) => {
    expect(Math.abs(found[index]! - number)).toBeLessThan(tolerance * Math.max(1, Math.abs(number)));
  });
};

const FAMILY = ['llama', 'llama31', 'mistral', 'qwen2', 'qwen3'];

describe.each(FAMILY)('%s computes the same as Transformers', (name) => {
  test('logits', async () => {
    const { checkpoint, config, expected } = await load(name);
    const model = llamaModel(checkpoint, config);
    const logits: Head = (weights, x) => {
      const all = llamaLogits(weights, config, x);
      return { loss: reduceSum(all, [0, 1, 2]), outputs: { all } };
    };
    const settings = { cache, fingerprint: name, memory: 0, largest: {}, threads: 1, device: 'cpu' as const };
    const { step, parameters } = await TrainingStep.open(model, logits, { ...settings, mode: 'whole' });
    const { outputs } = await step.evaluate(batchOf(expected), parameters);
    await step.close();
    const { data, shape } = outputs.all!;
    const width = shape[2]!;
    expected.logits.forEach((rows, text) => {
      rows.forEach((row, at) => {
        const start = (text * shape[1]! + at) * width;
        close((data as Float32Array).subarray(start, start + width), row, 1e-4);
      });
    });
  });

  test('log-probabilities of completions', async () => {
    const { step, parameters, expected } = await stepOf(name, 'whole');
    const { outputs } = await step.evaluate(batchOf(expected), parameters);
    await step.close();
    const wanted = expected.completionLogProbabilities.flat();
    close((outputs.logs!.data as Float32Array).subarray(0, wanted.length), wanted, 1e-4);
  });
});

describe.each<StepMode>(['whole', 'blocks'])('gradients, %s', (mode) => {
  /** Loss: the mean of -log p over all tokens of both completions. */
  function lossBatch(expected: Expected): Values {
    const batch = batchOf(expected);
    const count = expected.completionLogProbabilities.flat().length;
    (batch.weights!.data as Float32Array).fill(-1 / count, 0, count);
    return batch;
  }

  async function check(step: TrainingStep, parameters: Parameters, expected: Expected, loss: number, file: string) {
    const batch = lossBatch(expected);
    const result = await step.differentiate(batch, parameters, 0);
    expect(result.loss).toBeCloseTo(loss, 4);
    const again = await step.differentiate(batch, parameters, 0);
    expect(again.gradients).toEqual(result.gradients);
    const evaluated = await step.evaluate(batch, parameters);
    expect(evaluated.loss).toBeCloseTo(loss, 4);
    await step.close();
    const goldens = await openCheckpoint(file);
    open.push(goldens);
    const names = goldens.tensors().map(({ name }) => name);
    expect([...result.gradients.keys()].sort()).toEqual(names.sort());
    for (const name of names) close(result.gradients.get(name)!, [...(await goldens.read(name))], 1e-4);
  }

  test('of a LoRA adapter equal those of PEFT', async () => {
    const adapter = (module: string) => (/\.[qv]_proj$/.test(module) ? { rank: 4, scale: 2, dropout: 0 } : undefined);
    const { folder, step, parameters, expected } = await stepOf('llama', mode, { adapter });
    const values = await openCheckpoint(join(folder, 'lora.safetensors'));
    open.push(values);
    for (const name of parameters.names()) parameters.set(name, await values.read(name));
    await check(step, parameters, expected, expected.lora.loss, join(folder, 'lora-gradients.safetensors'));
  });

  test('of every weight equal those of PyTorch', async () => {
    const { folder, step, parameters, expected } = await stepOf('qwen3', mode, { trains: () => true });
    await check(step, parameters, expected, expected.full.loss, join(folder, 'gradients.safetensors'));
  });
});

test('dropout depends only on the seed, not on how the step is split', async () => {
  const adapter = (module: string) => (module.endsWith('q_proj') ? { rank: 4, scale: 2, dropout: 0.5 } : undefined);
  const results = [];
  for (const [mode, seed] of [
    ['whole', 1],
    ['blocks', 1],
    ['whole', 2],
  ] as const) {
    const { folder, step, parameters, expected } = await stepOf('llama', mode, { adapter });
    const values = await openCheckpoint(join(folder, 'lora.safetensors'));
    open.push(values);
    for (const name of parameters.names()) parameters.set(name, await values.read(name));
    const batch = batchOf(expected);
    (batch.weights!.data as Float32Array).fill(-1);
    results.push(await step.differentiate(batch, parameters, seed));
    await step.close();
  }
  const [whole, blocks, other] = results as [StepResult, StepResult, StepResult];
  for (const [name, gradient] of whole.gradients) close(blocks.gradients.get(name)!, [...gradient], 1e-5);
  expect(other.loss).not.toBeCloseTo(whole.loss, 3);
});

test.each([
  ['f16', 0.01],
  ['int8', 0.2],
  ['int4', 1],
] as const)(
  'frozen weights in %s: close to the full ones, and equal in both step modes',
  async (storage, tolerance) => {
    const adapter = (module: string) => (module.endsWith('q_proj') ? { rank: 4, scale: 2, dropout: 0 } : undefined);
    const results = [];
    for (const mode of ['whole', 'blocks'] as const) {
      const { folder, step, parameters, expected } = await stepOf('llama', mode, { adapter, storage });
      const values = await openCheckpoint(join(folder, 'lora.safetensors'));
      open.push(values);
      for (const name of parameters.names()) parameters.set(name, await values.read(name));
      const batch = batchOf(expected);
      const count = expected.completionLogProbabilities.flat().length;
      (batch.weights!.data as Float32Array).fill(-1 / count, 0, count);
      results.push(await step.differentiate(batch, parameters, 0));
      await step.close();
    }
    const [whole, blocks] = results as [StepResult, StepResult];
    expect(whole.loss).toBeCloseTo(blocks.loss, 5);
    for (const [name, gradient] of whole.gradients) close(blocks.gradients.get(name)!, [...gradient], 1e-5);
    const full = await stepOf('llama', 'whole', { adapter });
    const values = await openCheckpoint(join(full.folder, 'lora.safetensors'));
    open.push(values);
    for (const name of full.parameters.names()) full.parameters.set(name, await values.read(name));
    const { outputs } = await full.step.evaluate(batchOf(full.expected), full.parameters);
    await full.step.close();
    const [found, wanted] = [whole.outputs.logs!.data, outputs.logs!.data] as [Float32Array, Float32Array];
    const worst = Math.max(...wanted.map((number, index) => Math.abs(number - found[index]!)));
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(tolerance);
  },
);
