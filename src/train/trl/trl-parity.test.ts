import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { PairRecord } from '../../data/index.ts';
import { openCheckpoint, type ResolvedModel, readAdapter } from '../../models/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { tokenizePairs } from '../generator/chat-tokens.ts';
import { type GeneratorBase, openGeneratorBase } from '../generator/generator-base.ts';
import type { LoraSettings } from '../generator/generator-step.ts';
import { preferenceLossShape } from '../generator/preference-losses.ts';
import { PreferenceTask } from '../generator/preference-task.ts';
import { withReference } from '../generator/reference-log-probabilities.ts';
import { SupervisedTask } from '../generator/supervised-task.ts';
import { loadParameters } from '../loop/checkpoint.ts';
import { type MetricsRecord, readMetrics } from '../loop/metrics.ts';
import { train } from '../loop/trainer.ts';
import type { TrainingSettingsInput } from '../loop/training-settings.ts';
import { PYTHON_VARIABLE } from '../python/python-installation.ts';
import { trainWithTrl } from './trl-engine.ts';

import type { TrlJob } from './trl-plan.ts';

const GOLDENS = fileURLToPath(new URL('../goldens/dpo', import.meta.url));
const BASE: ResolvedModel = {
  ...{ name: 'tiny', path: fileURLToPath(new URL('../../nn/goldens/llama', import.meta.url)) },
  ...{ format: 'safetensors', fingerprint: 'tiny llama', source: 'goldens' },
};
const LORA: LoraSettings = {
  ...{ loraR: 4, loraAlpha: 8, loraDropout: 0, loraTargetModules: ['q_proj', 'v_proj'], useRslora: false },
};
const MAX_LENGTH = 128;
/** Three passes of four steps, warm-up, clipping and decay at work. */
const SETTINGS: TrainingSettingsInput = {
  ...{ learningRate: 2e-3, epochs: 3, batchSize: 2, warmupSteps: 3, maxGradNorm: 1, weightDecay: 0.1, seed: 42 },
  ...{ saveSteps: 4, evalSteps: 4 },
};
const TOLERANCE = 1e-3;
const MINUTES = 60_000;
const DPO_FIGURES = [...['rewardChosen', 'rewardRejected', 'margin', 'logProbabilityChosen', 'logProbabilityRejected']];

let folder: string;
let base: GeneratorBase;
let pairs: PairRecord[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-trl-parity-'));
  base = await openGeneratorBase(BASE);
  const { pairs: given } = JSON.parse(await readFile(join(GOLDENS, 'golden.json'), 'utf8'));
  pairs = given.map((pair: Omit<PairRecord, 'id' | 'queryId'>, index: number) => ({
    ...{ id: `${index}`, queryId: `${index}` },
    ...pair,
  }));
});
afterAll(async () => {
  await base.close();
  await rm(folder, { recursive: true });
});

/** What TRL draws as the first values with seed 42 (golden of reference/dpo.py). */
async function setInitial(parameters: Parameters): Promise<void> {
  const checkpoint = await openCheckpoint(join(GOLDENS, 'initial.safetensors'));
  for (const name of parameters.names()) parameters.set(name, await checkpoint.read(name));
  await checkpoint.close();
}

const split = () => ({ train: pairs.slice(0, 6), dev: pairs.slice(6) });
const loss = z.object(preferenceLossShape).parse({ lossType: ['sigmoid', 'ipo'], lossWeights: [1, 0.01] });

const jobOf = (method: TrlJob['method']): TrlJob => ({
  ...{ method, base: BASE, pairs: split(), settings: SETTINGS, lora: LORA, loss, maxLength: MAX_LENGTH },
  ...{ disableDropout: true, loadBestModelAtEnd: true, engine: { hardware: 'cpu', processes: 2 } },
});

/** Trains locally; the task holds the last values. */
async function trainLocally(method: TrlJob['method']) {
  const cache = join(folder, 'local-cache');
  const step = {
    ...({
      lora: LORA,
      seed: 1,
      longest: MAX_LENGTH,
      threads: 1,
      cache,
      mode: 'whole',
      memory: 1,
      device: 'cpu',
    } as const),
    microBatchTokens: 4096,
  };
  const tokens = async (given: readonly PairRecord[]) =>
    (await tokenizePairs(given, { tokenizer: base.tokenizer, template: base.template, maxLength: MAX_LENGTH })).pairs;
  const [ofTrain, ofDev] = [await tokens(split().train), await tokens(split().dev)];
  const options = { folder: join(folder, `local-${method}`) };
  if (method === 'sft') {
    const task = await SupervisedTask.open(base, step);
    const examples = (from: typeof ofTrain) =>
      from.map(({ id, prompt, chosen }) => ({ id, prompt, completion: chosen }));
    await setInitial(task.parameters);
    const result = await train(task, { train: examples(ofTrain), dev: examples(ofDev) }, SETTINGS, options);
    return { task, result, ...options };
  }
  const task = await PreferenceTask.open(base, { ...step, loss });
  await setInitial(task.parameters);
  const reference = {
    cache: join(cache, 'reference'),
    fingerprint: 'tiny',
    microBatchTokens: 4096,
    device: 'cpu',
  } as const;
  const examples = {
    train: await withReference(task, ofTrain, reference),
    dev: await withReference(task, ofDev, reference),
  };
  return { task, result: await train(task, examples, SETTINGS, options), ...options };
}

/** The figures that both engines report, of every step and evaluation. */
function expectCurves(found: readonly MetricsRecord[], expected: readonly MetricsRecord[], names: readonly string[]) {
  expect(found.map(({ step, split }) => [step, split])).toEqual(expected.map(({ step, split }) => [step, split]));
  for (const [index, { step, split, values }] of expected.entries()) {
    for (const name of names.filter((one) => values[one] !== undefined)) {
      const value = values[name]!;
      const difference = Math.abs((found[index]!.values[name] ?? Number.NaN) - value) / Math.max(1, Math.abs(value));
      expect(difference, `${name}, ${split}, step ${step}`).toBeLessThan(TOLERANCE);
    }
  }
}

/** @returns the largest difference of any weight */
async function differenceOf(adapterFolder: string, parameters: Parameters): Promise<number> {
  const { tensors } = await readAdapter(adapterFolder);
  expect([...tensors.keys()].sort()).toEqual([...parameters.names()].sort());
  const differences = [...tensors].map(([name, { data }]) => {
    const values = parameters.get(name);
    return Math.max(...data.map((value, index) => Math.abs(value - values[index]!)));
  });
  return Math.max(...differences);
}

describe.runIf(process.env[PYTHON_VARIABLE] !== undefined)(
  `two processes of TRL against the local engine (needs ${PYTHON_VARIABLE}, a Python with TRL)`,
  () => {
    test.each(['dpo', 'sft'] as const)(
      '%s: every figure, the last adapter and the best one',
      async (method) => {
        const local = await trainLocally(method);
        const { parameters } = local.task;
        const result = await trainWithTrl(jobOf(method), { folder: join(folder, method) });
        const last = join(folder, method, 'output', `checkpoint-${result.steps}`);
        expect(await differenceOf(last, parameters)).toBeLessThan(TOLERANCE);
        expect(result.best).toMatchObject({ step: local.result.best!.step, metric: 'loss' });
        await loadParameters(local.result.best!.folder, parameters);
        expect(await differenceOf(result.adapter, parameters)).toBeLessThan(TOLERANCE);
        await local.task.close();
        const figures = [await readMetrics(join(folder, method)), await readMetrics(local.folder)] as const;
        expectCurves(...figures, ['loss', 'gradientNorm', 'learningRate', ...(method === 'dpo' ? DPO_FIGURES : [])]);
      },
      5 * MINUTES,
    );
  },
);
