import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ModelStore, type ResolvedModel } from '../../models/index.ts';
import { ResourceError } from '../../system/index.ts';
import { readMetrics } from '../loop/metrics.ts';
import { planRetriever, retrieverMemory } from './plan-retriever.ts';
import { trainRetriever } from './train-retriever.ts';

let folder: string;
let encoder: ResolvedModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plan-retriever-'));
  encoder = await new ModelStore({ offline: true }).resolve(
    join(import.meta.dirname, '../../embed/goldens/tiny-encoder'),
  );
});
afterAll(() => rm(folder, { recursive: true }));

const rows = Array.from({ length: 10 }, (_none, at) => ({
  ...{ id: `q${at}`, query: 'saw '.repeat(1 + at), expansions: ['a saw is a tool'] },
  positives: [{ text: `stone bridge ${at}` }],
  negatives: [{ text: `a cat ${at}` }],
}));
const common = () => ({ encoder, rows, threads: 1, cache: join(folder, 'cache') });

test('a plan has the steps and tokens that training takes', async () => {
  const settings = { batchSize: 4, epochs: 2 };
  const plan = await planRetriever({ ...common(), settings });
  const { metricsFile, steps } = await trainRetriever({ ...common(), settings, out: join(folder, 'run') });
  const tokens = (await readMetrics(join(metricsFile!, '..'))).map(({ values }) => values.tokens ?? 0);
  expect([plan.steps, plan.stepsPerEpoch]).toEqual([steps, 3]);
  expect(plan.tokens).toBe(tokens.reduce((sum, one) => sum + one, 0));
  expect(plan.seconds).toBeCloseTo(plan.tokens / plan.probe!.tokensPerSecond, 9);
  expect(plan.probe!.steps).toBeGreaterThanOrEqual(1);
});

test('memory counts what is trained, by kind of training', async () => {
  const [all, lora, map] = await Promise.all([
    retrieverMemory(encoder, {}),
    retrieverMemory(encoder, { loraR: 2 }),
    retrieverMemory(encoder, { train: 'projection' }),
  ]);
  // A map of hidden x hidden; LoRA of rank 2 on query and value of each layer: 2 x (2 x hidden + hidden x 2).
  const hidden = Math.sqrt(map.parameters);
  expect(Number.isInteger(hidden)).toBe(true);
  expect(lora.parameters % (2 * 2 * 2 * hidden)).toBe(0);
  expect(all.parameters).toBeGreaterThan(lora.parameters);
  for (const { activations, weights, bytes } of [all, lora, map]) expect(bytes).toBe(activations + weights);
  expect(all.weights - lora.weights).toBe(16 * (all.parameters - lora.parameters));
  expect([all.mode, map.mode, map.activations]).toEqual(['whole', undefined, 0]);
});

test('memory grows with the mini-batch, and blocks take less', async () => {
  const of = (settings: object) => retrieverMemory(encoder, settings).then(({ activations }) => activations);
  const [small, large] = [await of({ miniBatchTokens: 1024 }), await of({ miniBatchTokens: 4096 })];
  expect(large).toBeGreaterThan(2 * small);
  expect(await of({ mode: 'blocks', miniBatchTokens: 4096 })).toBeLessThan(large);
  // Without a limit the whole batch counts if it fits, or else a mini-batch.
  expect(await of({})).toBeGreaterThan(large);
  expect(await of({ memory: (1.1 * large) / 2 ** 30 })).toBe(large);
  await expect(of({ memory: 1e-6 })).rejects.toBeInstanceOf(ResourceError);
});

test('a linear map in closed form has no steps to measure', async () => {
  const plan = await planRetriever({ ...common(), settings: { method: 'ridge' } });
  expect(plan).toMatchObject({ steps: 1, seconds: null, probe: undefined });
});
