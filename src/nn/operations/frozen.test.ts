import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelError, Random, sha256 } from '../../system/index.ts';
import { compileModel } from '../compiled-model.ts';
import { gradients } from '../gradients.ts';
import { Graph, type Tensor, type TensorData } from '../graph.ts';
import { ModelInThread } from '../model-in-thread.ts';
import { frozenMatrix, type MatrixShape, packMatrix, STORAGES, type Storage } from './frozen.ts';
import { exp, gather, matmul, tokenLogProbabilities } from './index.ts';

const SHAPE: MatrixShape = [6, 64];
const [ROWS, COLUMNS] = SHAPE;
const [BATCH, LENGTH] = [2, 3];
const random = new Random(21);
const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
const matrix = normals(ROWS * COLUMNS);
const x = normals(BATCH * LENGTH * COLUMNS);
const indices = Int32Array.of(5, 0, 5, 2, 1, 3);

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-frozen-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

type Build = (graph: Graph, weights: (name: string, storage: Storage) => ReturnType<typeof frozenMatrix>) => void;

/** Builds a graph over matrices with the same numbers, and runs it on x and the indices. */
async function run(build: Build, numbers: Float32Array = matrix): Promise<Record<string, Float32Array>> {
  const graph = new Graph();
  const loaders = new Map<string, () => Promise<TensorData>>();
  build(graph, (name, storage) =>
    frozenMatrix(storage, SHAPE, (part, dtype, shape) => {
      loaders.set(`${name}.${part}`, async () => packMatrix(storage, numbers, SHAPE)[part]!);
      return graph.weight(`${name}.${part}`, dtype, shape);
    }),
  );
  const { file } = await compileModel(graph, loaders, { cache, fingerprint: sha256(new Uint8Array(numbers.buffer)) });
  const model = new ModelInThread(file);
  try {
    const given = {
      x: { dtype: 'float32' as const, shape: [BATCH, LENGTH, COLUMNS], data: x.slice() },
      indices: { dtype: 'int32' as const, shape: [BATCH, LENGTH], data: indices.slice() },
    };
    const feeds = Object.fromEntries(
      Object.entries(given).filter(([name]) => graph.inputs.some((one) => one.name === name)),
    );
    const results = await model.run(feeds);
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
  } finally {
    await model.close();
  }
}

const inputOf = (graph: Graph) => graph.input('x', 'float32', ['batch', 'sequence', COLUMNS]);
const indicesOf = (graph: Graph) => graph.input('indices', 'int32', ['batch', 'sequence']);

/** Adds a loss with a different gradient at every number, and its gradient with respect to x. */
function differentiated(graph: Graph, x: Tensor, result: Tensor): void {
  graph.output('result', result);
  graph.output('gradient', gradients([{ tensor: result, gradient: result }], [x])[0]!);
}

const widest = (found: Float32Array, expected: Float32Array) => {
  expect(found.length).toBe(expected.length);
  return Math.max(...found.map((number, index) => Math.abs(number - expected[index]!)));
};

/** Half a step of each storage, for numbers up to about 3.5. */
const STEP: Record<Storage, number> = { f32: 0, f16: 2e-3, int8: 0.015, int4: 0.25 };

describe.each(STORAGES)('%s', (storage) => {
  test('approximates the numbers it was made from', async () => {
    const { unpacked } = await run((graph, weights) => {
      graph.output('unpacked', weights('matrix', storage).unpack(inputOf(graph)));
    });
    expect(widest(unpacked!, matrix)).toBeLessThanOrEqual(STEP[storage]);
  });

  test('multiplies, and passes gradients, like the unpacked matrix', async () => {
    const found = await run((graph, weights) => {
      const x = inputOf(graph);
      differentiated(graph, x, weights('matrix', storage).linear(x));
    });
    const expected = await run((graph, weights) => {
      const x = inputOf(graph);
      const unpacked = weights('matrix', storage).unpack(x);
      differentiated(graph, x, matmul(x, unpacked, { transposeB: true }));
    });
    expect(widest(found.result!, expected.result!)).toBeLessThan(1e-5);
    expect(widest(found.gradient!, expected.gradient!)).toBeLessThan(1e-4);
  });

  test('looks up rows', async () => {
    const { rows, expected } = await run((graph, weights) => {
      const [weight, at] = [weights('matrix', storage), indicesOf(graph)];
      graph.output('rows', weight.rows(at));
      graph.output('expected', gather(weight.unpack(at), at));
    });
    expect(widest(rows!, expected!)).toBeLessThan(1e-6);
  });

  test('can be the vocabulary table', async () => {
    const build = (kept: Storage, numbers?: Float32Array) =>
      run((graph, weights) => {
        const x = inputOf(graph);
        differentiated(graph, x, exp(tokenLogProbabilities(x, weights('matrix', kept), indicesOf(graph), true)));
      }, numbers);
    const { unpacked } = await run((graph, weights) => {
      graph.output('unpacked', weights('matrix', storage).unpack(inputOf(graph)));
    });
    const [found, expected] = [await build(storage), await build('f32', unpacked)];
    expect(widest(found.result!, expected.result!)).toBeLessThan(1e-5);
    expect(widest(found.gradient!, expected.gradient!)).toBeLessThan(1e-5);
  });
});

describe('is refused', () => {
  const graph = new Graph();
  const weight = (part: string, dtype: Parameters<Graph['weight']>[1], shape: readonly number[]) =>
    graph.weight(`matrix.${part}`, dtype, shape);

  test('four bits for rows that do not form whole blocks', () => {
    expect(() => frozenMatrix('int4', [4, 48], weight)).toThrow(ModelError);
    expect(() => frozenMatrix('int4', [4, 48], weight)).toThrow(/4 x 48 cannot be divided into pairs of blocks of 32/);
    expect(() => frozenMatrix('int4', [3, 32], weight)).toThrow(/pairs of blocks/);
  });

  test('inputs of another width', () => {
    const x = graph.input('narrow', 'float32', ['batch', 3]);
    const build = () => graph.scope('layer.0', () => frozenMatrix('f16', [4, 8], weight).linear(x));
    expect(build).toThrow(ModelError);
    expect(build).toThrow(
      /layer\.0\/MatMul: inner sizes of narrow \[batch, 3\] and matrix\.values \[4, 8\], transposed/,
    );
  });
});
