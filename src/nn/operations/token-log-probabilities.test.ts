import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelError, Random } from '../../system/index.ts';
import { compileModel } from '../compiled-model.ts';
import { gradients } from '../gradients.ts';
import { Graph, type Tensor } from '../graph.ts';
import { ModelInThread } from '../model-in-thread.ts';
import type { Values } from '../runtime-messages.ts';
import { frozenTensor, logSoftmax, matmul, pickLast, reduceSum, scalar, tokenLogProbabilities } from './index.ts';

const [CHUNKS, ROWS, HIDDEN, VOCABULARY] = [2, 3, 8, 50];
const random = new Random(4);
const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const table = normals(VOCABULARY * HIDDEN);
const hidden = normals(CHUNKS * ROWS * HIDDEN);
const tokens = Int32Array.from({ length: CHUNKS * ROWS }, () => random.below(VOCABULARY));

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-tokens-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

type Formula = (hidden: Tensor, table: Tensor, tokens: Tensor) => Tensor;
const inChunks =
  (learns: boolean): Formula =>
  (h, w, t) =>
    tokenLogProbabilities(h, frozenTensor(w), t, learns);
const atOnce: Formula = (h, w, t) => pickLast(logSoftmax(matmul(h, w, { transposeB: true })), t);

/** Runs a formula with a trained weight outside the graph as its table of vectors. */
async function run(formula: Formula, learns: boolean): Promise<Values> {
  const graph = new Graph();
  const h = graph.input('hidden', 'float32', ['chunks', 'rows', HIDDEN]);
  const t = graph.input('tokens', 'int32', ['chunks', 'rows']);
  const result = formula(h, graph.weight('table', 'float32', [VOCABULARY, HIDDEN]), t);
  graph.output('result', result);
  if (learns) {
    const sum = reduceSum(result, [0, 1]);
    const [slope] = gradients([{ tensor: sum, gradient: scalar(sum, 2) }], [h]);
    graph.output('slope', slope!);
  }
  const loaders = new Map([['table', async () => table]]);
  const { file } = await compileModel(graph, loaders, { cache, fingerprint: 'table' });
  const model = new ModelInThread(file);
  try {
    return await model.run({
      hidden: { dtype: 'float32', shape: [CHUNKS, ROWS, HIDDEN], data: hidden.slice() },
      tokens: { dtype: 'int32', shape: [CHUNKS, ROWS], data: tokens.slice() },
    });
  } finally {
    await model.close();
  }
}

function expectClose(found: Values[string], expected: Values[string]): void {
  expect(found.shape).toEqual(expected.shape);
  const numbers = found.data as Float32Array;
  numbers.forEach((number, index) => {
    expect(number).toBeCloseTo(Number(expected.data[index]), 5);
  });
}

describe('in chunks, over a table outside the graph', () => {
  test('log-probabilities equal those from the complete table of logits', async () => {
    expectClose((await run(inChunks(false), false)).result!, (await run(atOnce, false)).result!);
  });

  test('and so do the gradients', async () => {
    const [found, expected] = [await run(inChunks(true), true), await run(atOnce, true)];
    expectClose(found.result!, expected.result!);
    expectClose(found.slope!, expected.slope!);
  });
});

test('without `learns` there is no gradient, and sizes must fit', () => {
  const graph = new Graph();
  const h = graph.input('hidden', 'float32', ['chunks', 'rows', 4]);
  const t = graph.input('tokens', 'int32', ['chunks', 'rows']);
  const vectors = graph.weight('table', 'float32', [9, 4]);
  const frozen = tokenLogProbabilities(h, frozenTensor(vectors), t, false);
  expect(() => gradients([{ tensor: frozen, gradient: frozen }], [h])).toThrow(/Scan has no gradient/);
  expect(() => tokenLogProbabilities(h, frozenTensor(graph.weight('narrow', 'float32', [9, 3])), t, false)).toThrow(
    ModelError,
  );
  expect(() => tokenLogProbabilities(h, frozenTensor(graph.weight('narrow', 'float32', [9, 3])), t, false)).toThrow(
    /hidden size of hidden \[chunks, rows, 4\] is not the one of the table \[9, 3\]/,
  );
});
