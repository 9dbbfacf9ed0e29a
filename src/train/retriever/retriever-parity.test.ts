import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RetrieverRow } from '../../data/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { AdamW } from '../loop/optimizer.ts';
import { ContrastiveTask } from './contrastive-task.ts';
import { openRetrieverBase, type RetrieverBase } from './retriever-base.ts';
import { readExamples } from './retriever-examples.ts';
import { parseRetrieverSettings, type RetrieverTrainingInput } from './retriever-settings.ts';

interface Golden {
  rows: RetrieverRow[];
  batch: number;
  runs: Record<string, { settings: RetrieverTrainingInput; losses: number[]; weights: Record<string, number[]> }>;
  sentenceTransformers: Record<string, number>;
}

const TINY = fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url));
const golden: Golden = JSON.parse(await readFile(new URL('../goldens/retriever.json', import.meta.url), 'utf8'));
const model: ResolvedModel = {
  name: 'tiny',
  path: TINY,
  format: 'safetensors',
  fingerprint: 'tiny',
  source: 'fixture',
};

let cache: string;
let base: RetrieverBase;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-retriever-parity-'));
  base = await openRetrieverBase(model, { similarity: 'cosine', maxLength: 512 });
});
afterAll(async () => {
  await base.close();
  await rm(cache, { recursive: true, force: true });
});

async function openTask(given: RetrieverTrainingInput) {
  const settings = parseRetrieverSettings({ groupSize: 3, miniBatchSize: 5, mode: 'whole', ...given });
  const { examples } = await readExamples(base, golden.rows, settings);
  return { task: await ContrastiveTask.open(base, { settings, threads: 1, cache }), examples, settings };
}

/** What is added to every key alike changes no attention: its gradient is rounding, which AdamW brings to full steps. */
const ROUNDING_ALONE = 'self.key.bias';

const RELATIVE = 1e-4;
const near = (found: number, wanted: number) => Math.abs(found - wanted) <= RELATIVE * Math.max(1, Math.abs(wanted));

describe("losses and weights of 10 steps are PyTorch's", () => {
  test.each(Object.keys(golden.runs))('%s', async (name) => {
    const { settings: given, losses, weights } = golden.runs[name]!;
    const { task, examples, settings } = await openTask(given);
    const optimizer = new AdamW(task.parameters, settings);
    const found: number[] = [];
    try {
      for (const step of losses.keys()) {
        const start = (step * golden.batch) % examples.length;
        const batch = examples.slice(start, start + golden.batch);
        const { loss, gradients } = await task.gradients(batch, { total: golden.batch, seed: step });
        await optimizer.step(gradients, { learningRate: settings.learningRate, scale: 1 });
        found.push(loss);
      }
    } finally {
      await task.close();
    }
    expect(found.map((loss, step) => near(loss, losses[step]!) || [step, loss, losses[step]])).toEqual(
      losses.map(() => true),
    );
    const far = Object.entries(weights)
      .filter(([tensor]) => !tensor.endsWith(ROUNDING_ALONE))
      .flatMap(([tensor, wanted]) => {
        const values = task.parameters.get(tensor);
        const stride = Math.max(1, Math.floor(values.length / 8));
        return wanted.flatMap((value, at) =>
          near(values[at * stride]!, value) ? [] : [[tensor, at, values[at * stride], value]],
        );
      });
    expect(far).toEqual([]);
    expect(Object.keys(weights).sort()).toEqual(task.parameters.names().sort());
  });
});

describe("a loss by itself has the value of sentence-transformers' one", () => {
  const kl = { method: 'kl', temperature: 0.5, teacherTemperature: 0.5, infonceWeight: 0 } as const;
  test.each<[string, RetrieverTrainingInput]>([
    ['MultipleNegativesRankingLoss', { temperature: 0.1 }],
    ['CachedMultipleNegativesRankingLoss', { temperature: 0.1 }],
    ['MarginMSELoss', { method: 'margin-mse', infonceWeight: 0 }],
    ['DistillKLDivLoss', kl],
  ])('%s', async (name, given) => {
    const { task, examples } = await openTask({ querySide: 'query', ...given });
    const { loss } = await task.evaluate(examples.slice(0, golden.batch), { total: golden.batch });
    await task.close();
    expect(near(loss, golden.sentenceTransformers[name]!) || [loss, golden.sentenceTransformers[name]]).toBe(true);
  });
});
