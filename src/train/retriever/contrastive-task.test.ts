import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RetrieverRow } from '../../data/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { ContrastiveTask } from './contrastive-task.ts';
import { openRetrieverBase, type RetrieverBase } from './retriever-base.ts';
import { readExamples } from './retriever-examples.ts';
import { parseRetrieverSettings, type RetrieverTrainingInput } from './retriever-settings.ts';

const TINY = fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url));
const model: ResolvedModel = {
  name: 'tiny',
  path: TINY,
  format: 'safetensors',
  fingerprint: 'tiny',
  source: 'fixture',
};

const WORDS = 'river stone cloud engine paper light garden window music winter salt bridge'.split(' ');
const text = (seed: number, length: number) =>
  Array.from({ length }, (_, at) => WORDS[(seed * 7 + at * 5 + ((seed * at) % 3)) % WORDS.length]).join(' ');

const rows: RetrieverRow[] = Array.from({ length: 7 }, (_, index) => ({
  id: `q${index}`,
  query: `query ${index} ${text(index, 7 + (index % 3))}`,
  expansions: [`first ${index} ${text(index + 3, 9)}`, `second ${index} ${text(index + 5, 6 + (index % 4))}`],
  positives: [{ text: `yes ${index} ${text(index + 1, 9 - (index % 3))}` }],
  negatives: [{ text: `no ${index} ${text(index + 2, 7)}` }, { text: `never ${index} ${text(index + 4, 10)}` }],
  scores: { positives: [3 + index / 2], negatives: [1 - index / 3, 0.5 * index] },
}));

let cache: string;
let base: RetrieverBase;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-contrastive-'));
  base = await openRetrieverBase(model, { similarity: 'cosine', maxLength: 64 });
});
afterAll(async () => {
  await base.close();
  await rm(cache, { recursive: true, force: true });
});

async function run(given: RetrieverTrainingInput, some = rows) {
  const settings = parseRetrieverSettings({ groupSize: 3, temperature: 0.1, mode: 'whole', ...given });
  const { examples } = await readExamples(base, some, settings);
  const task = await ContrastiveTask.open(base, { settings, threads: 1, cache });
  try {
    for (const name of task.parameters.names()) {
      // B begins at 0, where A has no gradient.
      if (name.endsWith('lora_B.weight'))
        task.parameters.get(name).forEach((_value, at, all) => {
          all[at] = ((at % 13) - 6) / 50;
        });
    }
    const result = await task.gradients(examples, { total: examples.length, seed: 5 });
    const evaluation = await task.evaluate(examples, { total: examples.length });
    return { ...result, evaluation, inOnePiece: task.batchesInOnePiece };
  } finally {
    await task.close();
  }
}

function largestDifference(a: Map<string, Float32Array>, b: Map<string, Float32Array>): number {
  let most = 0;
  for (const [name, values] of a) {
    values.forEach((value, at) => {
      most = Math.max(most, Math.abs(value - b.get(name)![at]!) / Math.max(1, Math.abs(value)));
    });
  }
  return most;
}

const norm = (gradients: Map<string, Float32Array>) =>
  Math.sqrt([...gradients.values()].flatMap((values) => [...values]).reduce((sum, value) => sum + value * value, 0));

describe('a batch in mini-batches has the loss and gradients of a batch in one piece, dropout on', () => {
  const dropout = { loraR: 4, loraDropout: 0.2, hiddenDropout: 0.1 };
  test.each<[string, RetrieverTrainingInput]>([
    ['infonce on the mean', { ...dropout }],
    ['infonce on a mix of sides, all weights', { querySide: 'mixed', hiddenDropout: 0.1 }],
    ['dot products', { similarity: 'dot', querySide: 'concat', ...dropout }],
    ['distil', { method: 'distil', ...dropout }],
    ['margin-mse', { method: 'margin-mse', querySide: 'query', ...dropout }],
    ['kl', { method: 'kl', querySide: 'expansion', ...dropout }],
    ['Matryoshka', { matryoshka: [8, 32], ...dropout }],
    ['margins', { absoluteMargin: 0.02, relativeMargin: 0.05, ...dropout }],
  ])('%s', async (_name, given) => {
    const whole = await run({ ...given, miniBatchSize: 200, miniBatchTokens: 1e6 });
    const parts = await run({ ...given, miniBatchSize: 4, miniBatchTokens: 60 });
    expect([whole.inOnePiece, parts.inOnePiece]).toEqual([1, 0]);
    expect(norm(whole.gradients)).toBeGreaterThan(1e-3);
    expect(Math.abs(whole.loss - parts.loss)).toBeLessThan(1e-5 * Math.max(1, Math.abs(whole.loss)));
    expect(largestDifference(whole.gradients, parts.gradients)).toBeLessThan(1e-5);
    expect(parts.evaluation.loss).toBeCloseTo(whole.evaluation.loss, 5);
    expect(parts.metrics).toEqual({ ...whole.metrics, similarity: expect.closeTo(whole.metrics.similarity!, 5) });
  });

  test('one layer at a time too', async () => {
    const whole = await run({ ...dropout, miniBatchSize: 200, miniBatchTokens: 1e6 });
    const parts = await run({ ...dropout, miniBatchSize: 5, mode: 'blocks' });
    expect(largestDifference(whole.gradients, parts.gradients)).toBeLessThan(1e-5);
  });
});

describe('the accuracy tells queries whose positive is the most similar from the others', () => {
  const told = rows.slice(0, 4).map((row, index) => {
    const copy = [{ text: row.query }];
    return index === 0 ? { ...row, positives: copy } : { ...row, negatives: copy };
  });
  test.each<[string, RetrieverTrainingInput]>([
    ['in one piece', { miniBatchSize: 200, miniBatchTokens: 1e6 }],
    ['in mini-batches', { miniBatchSize: 4, miniBatchTokens: 60 }],
    ['by a projection', { train: 'projection' }],
  ])('%s', async (_name, given) => {
    const { metrics, evaluation } = await run({ ...given, querySide: 'query' }, told);
    expect([metrics.accuracy, evaluation.metrics.accuracy]).toEqual([0.25, 0.25]);
  });
});
