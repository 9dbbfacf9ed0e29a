import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileModel } from '../compiled-model.ts';
import { dtypeOf, Graph, type Tensor } from '../graph.ts';
import { ModelInThread } from '../model-in-thread.ts';
import * as ops from './index.ts';

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-operations-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

type Input = { data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>; shape: number[] };
const floats = (shape: number[], ...numbers: number[]): Input => ({ data: Float32Array.from(numbers), shape });
const integers = (shape: number[], ...numbers: number[]): Input => ({ data: Int32Array.from(numbers), shape });

/** Builds a graph over inputs of unknown sizes, and runs it. */
async function compute(inputs: Input[], build: (...tensors: Tensor[]) => Tensor) {
  const graph = new Graph();
  const tensors = inputs.map(({ data, shape }, index) => graph.input(`x${index}`, dtypeOf(data) as 'float32', shape));
  const result = build(...tensors);
  graph.output('result', result);
  const { file } = await compileModel(graph, new Map(), { cache, fingerprint: 'none' });
  const model = new ModelInThread(file);
  try {
    const feeds = inputs.map(({ data, shape }, index) => [
      `x${index}`,
      { dtype: data instanceof Float32Array ? ('float32' as const) : ('int32' as const), shape, data: data.slice() },
    ]);
    const { result: value } = await model.run(Object.fromEntries(feeds));
    expect(value!.shape).toEqual(result.shape);
    return [...(value!.data as Float32Array)];
  } finally {
    await model.close();
  }
}

const erf = (x: number) => {
  let [term, sum] = [x, x];
  for (let n = 1; n < 60; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};
const close = (found: number[], expected: number[], digits = 5) => {
  expect(found).toHaveLength(expected.length);
  found.forEach((number, index) => {
    expect(number).toBeCloseTo(expected[index]!, digits);
  });
};

describe('operations', () => {
  const a = floats([2, 3], 1, -2, 3, 4, 5, -6);
  const row = floats([3], 10, 20, 30);

  test.each<[string, Input[], (...t: Tensor[]) => Tensor, number[]]>([
    ['add', [a, row], (x, y) => ops.add(x, y), [11, 18, 33, 14, 25, 24]],
    ['subtract', [a, row], (x, y) => ops.subtract(x, y), [-9, -22, -27, -6, -15, -36]],
    ['multiply', [a, row], (x, y) => ops.multiply(x, y), [10, -40, 90, 40, 100, -180]],
    ['divide', [a, row], (x, y) => ops.divide(x, y), [0.1, -0.1, 0.1, 0.4, 0.25, -0.2]],
    ['maximum', [a, floats([], 2)], (x, y) => ops.maximum(x, y), [2, 2, 3, 4, 5, 2]],
    ['relu', [a], (x) => ops.relu(x), [1, 0, 3, 4, 5, 0]],
    ['squareRoot', [row], (x) => ops.squareRoot(x), [10, 20, 30].map(Math.sqrt)],
    ['less and cast', [a, row], (x, y) => ops.cast(ops.less(ops.multiply(x, x), y), 'float32'), [1, 1, 1, 0, 0, 0]],
    ['where', [a, row], (x, y) => ops.where(ops.less(x, ops.relu(x)), y, x), [1, 20, 3, 4, 5, 30]],
    [
      'gelu',
      [floats([3], -1, 0.5, 2)],
      (x) => ops.gelu(x),
      [-1, 0.5, 2].map((v) => (v * (1 + erf(v / Math.SQRT2))) / 2),
    ],
    [
      'gelu by tanh',
      [floats([2], -1, 2)],
      (x) => ops.gelu(x, 'tanh'),
      [-1, 2].map((v) => (v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))) / 2),
    ],
    ['matmul', [a, floats([3, 1], 1, 10, 100)], (x, y) => ops.matmul(x, y), [281, -546]],
    ['linear', [a, floats([3, 1], 1, 10, 100), floats([1], 5)], (x, y, z) => ops.linear(x, y, z), [286, -541]],
    ['reshape', [a], (x) => ops.reshape(x, [3, 2]), [1, -2, 3, 4, 5, -6]],
    ['transpose', [a], (x) => ops.transpose(x, [1, 0]), [1, 4, -2, 5, 3, -6]],
    ['gather', [a, integers([3], 1, 0, 1)], (x, y) => ops.gather(x, y), [4, 5, -6, 1, -2, 3, 4, 5, -6]],
    ['pick', [a], (x) => ops.pick(x, 1, 2), [3, -6]],
    ['range', [a], (x) => ops.cast(ops.range(x.graph, 3), 'float32'), [0, 1, 2]],
    ['unsqueeze', [row], (x) => ops.unsqueeze(x, 0), [10, 20, 30]],
    ['reduceSum', [a], (x) => ops.reduceSum(x, 0), [5, 3, -3]],
    ['reduceMean', [a], (x) => ops.reduceMean(x, 1, true), [2 / 3, 1]],
    ['reduceMax', [a], (x) => ops.reduceMax(x, 1), [3, 5]],
    ['norm', [a], (x) => ops.norm(x, 1), [Math.sqrt(14), Math.sqrt(77)]],
    ['softmax', [floats([2], 0, Math.log(3))], (x) => ops.softmax(x), [0.25, 0.75]],
    ['l2Normalize', [floats([2, 2], 3, 4, 0, 0)], (x) => ops.l2Normalize(x), [0.6, 0.8, 0, 0]],
    [
      'layerNorm',
      [floats([1, 2], 1, 3), floats([2], 2, 2), floats([2], 0.5, 0.5)],
      (x, scale, shift) => ops.layerNorm(x, { scale, shift, epsilon: 3 }),
      [-0.5, 1.5],
    ],
  ])('%s', async (_, inputs, build, expected) => {
    close(await compute(inputs, build), expected);
  });
});

describe('self-attention', () => {
  const [sequence, hidden, heads] = [3, 4, 2];
  const number = (index: number) => Math.sin(index * 1.7) * 0.8;
  const x = floats([1, sequence, hidden], ...Array.from({ length: 12 }, (_, index) => number(index)));
  const weight = floats([4, 12], ...Array.from({ length: 48 }, (_, index) => number(index + 50)));
  const bias = floats([12], ...Array.from({ length: 12 }, (_, index) => number(index + 200)));

  /** Vaswani et al. 2017, section 3.2, written out, without keys beyond `length`. */
  function expectedAttention(length: number): number[] {
    const products = Array.from({ length: sequence }, (_, token) =>
      Array.from({ length: 12 }, (_, column) => {
        let sum: number = bias.data[column]!;
        for (let k = 0; k < hidden; k++) sum += x.data[token * hidden + k]! * weight.data[k * 12 + column]!;
        return sum;
      }),
    );
    return products.flatMap((query) =>
      Array.from({ length: hidden }, (_, column) => {
        const first = Math.floor(column / 2) * 2;
        const keys = products.slice(0, length);
        const scores = keys.map(
          (key) => (query[first]! * key[4 + first]! + query[first + 1]! * key[5 + first]!) / Math.SQRT2,
        );
        const shares = scores.map(Math.exp);
        const total = shares.reduce((sum, share) => sum + share);
        return keys.reduce((sum, key, at) => sum + (shares[at]! / total) * key[8 + column]!, 0);
      }),
    );
  }

  test('equals the textbook formula', async () => {
    const found = await compute([x, weight, bias], (x, w, b) => ops.selfAttention(x, w, b, undefined, heads));
    close(found, expectedAttention(3));
  });

  test('ignores padding', async () => {
    const lengths = integers([1], 2);
    const found = await compute([x, weight, bias, lengths], (x, w, b, n) => ops.selfAttention(x, w, b, n, heads));
    close(found.slice(0, 8), expectedAttention(2).slice(0, 8));
  });
});
