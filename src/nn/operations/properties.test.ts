import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../../system/index.ts';
import { CheckedFunction, type CheckedInput } from '../gradient-check.ts';
import type { Dimension, Shape, Tensor } from '../graph.ts';
import type { Value } from '../runtime-messages.ts';
import * as ops from './index.ts';

// Checks every gradient rule against finite differences, over random shapes: with sizes that the graph knows only by
// name, and with the same sizes as numbers.

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-properties-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

type Sizes = Record<string, number>;
/** How the numbers of an input are drawn. */
type Draw = (random: Random, count: number, sizes: Sizes) => Float32Array | Int32Array | Uint8Array;

const normal: Draw = (random, count) => Float32Array.from({ length: count }, () => random.normal());
const aboveZero: Draw = (random, count) => Float32Array.from({ length: count }, () => 0.3 + random.uniform());
/**
 * Draws numbers that are further apart than a step of the differences, also from those of another offset: for functions
 * with a kink where two numbers are equal.
 */
const apart =
  (offset: number): Draw =>
  (random, count) => {
    const places = random.shuffle(Array.from({ length: count }, (_, index) => index - Math.floor(count / 2)));
    return Float32Array.from(places, (place) => place * 0.2 + offset);
  };
const below =
  (bound: number | string): Draw =>
  (random, count, sizes) => {
    const limit = typeof bound === 'number' ? bound : sizes[bound]!;
    return Int32Array.from({ length: count }, () => random.below(limit));
  };
const bytes: Draw = (random, count) => Uint8Array.from({ length: count }, () => random.below(2));

type Input = [shape: Shape, draw: Draw, frozen?: 'frozen'];
interface Property {
  inputs: Input[];
  build(...tensors: Tensor[]): Tensor;
}

const property = (inputs: Input[], build: (...tensors: Tensor[]) => Tensor): Property => ({ inputs, build });
const pointwise = (operation: (x: Tensor) => Tensor, draw: Draw = normal) =>
  property([[['batch', 'sequence', 3], draw]], operation);

const REST: Shape = ['batch', 'sequence', 4];
const angles = { inverse: Float32Array.of(1, 0.3), scale: 1.5 };

const PROPERTIES: Record<string, Property> = {
  negate: pointwise(ops.negate),
  exp: pointwise(ops.exp),
  log: pointwise(ops.log, aboveZero),
  squareRoot: pointwise(ops.squareRoot, aboveZero),
  relu: pointwise(ops.relu, apart(0.1)),
  tanh: pointwise(ops.tanh),
  sigmoid: pointwise(ops.sigmoid),
  softplus: pointwise(ops.softplus),
  silu: pointwise(ops.silu),
  gelu: pointwise((x) => ops.gelu(x)),
  'gelu by tanh': pointwise((x) => ops.gelu(x, 'tanh')),
  softmax: pointwise(ops.softmax),
  'softmax over a named size': property([[['batch', 3, 'sequence'], normal]], ops.softmax),
  logSoftmax: pointwise(ops.logSoftmax),
  l2Normalize: pointwise(ops.l2Normalize),
  norm: pointwise((x) => ops.norm(x, [0, 2])),
  'sum over one axis': pointwise((x) => ops.reduceSum(x, 1)),
  'sum over two, kept': pointwise((x) => ops.reduceSum(x, [0, 2], true)),
  'sum over everything': pointwise((x) => ops.reduceSum(x, [0, 1, 2])),
  'mean over named sizes': pointwise((x) => ops.reduceMean(x, [0, 1])),
  'mean over everything': pointwise((x) => ops.reduceMean(x, [0, 1, 2])),
  'largest over an axis': pointwise((x) => ops.reduceMax(x, 1, true), apart(0)),
  'largest over two axes': pointwise((x) => ops.reduceMax(x, [1, 2]), apart(0)),
  maximum: property(
    [
      [REST, apart(0)],
      [['sequence', 1], apart(0.1)],
    ],
    ops.maximum,
  ),
  where: property(
    [
      [['sequence', 1], apart(0), 'frozen'],
      [REST, normal],
      [[4], normal],
    ],
    (condition, a, b) => ops.where(ops.less(condition, ops.scalar(a, 0.05)), a, b),
  ),
  expand: property(
    [
      [['sequence', 1], normal],
      [['batch', 1, 1], normal],
    ],
    (x, y) => ops.multiply(ops.expand(x, [y.shape[0]!, x.shape[0]!, 4]), y),
  ),
  'reshape, one name inferred': pointwise((x) => ops.reshape(x, ['tokens', 3])),
  'reshape into heads and back': property([[['batch', 'sequence', 6], normal]], (x) => {
    const [batch, sequence] = x.shape as [Dimension, Dimension];
    const heads = ops.transpose(ops.reshape(x, [batch, sequence, 2, 3]), [0, 2, 1, 3]);
    const whole = ops.reshape(ops.multiply(heads, heads), [batch, 2, 'numbers of a head']);
    return ops.reshape(whole, [sequence, batch, 6]);
  }),
  'reshape from two new names': property([[['batch', 'sequence', 6], normal]], (x) => {
    const rows = ops.flattenRows(x);
    return ops.reshape(ops.multiply(rows, rows), [x.shape[1]!, 3, x.shape[0]!, 2]);
  }),
  transpose: pointwise((x) => ops.transpose(x, [2, 0, 1])),
  unsqueeze: pointwise((x) => ops.unsqueeze(x, 1)),
  'slice of a known axis': property([[['batch', 5], normal]], (x) => ops.slice(x, 1, 1, 4)),
  'slice of a named axis': property([[['batch', 3], normal]], (x) => ops.slice(x, 0, 0, 1)),
  pad: property(
    [
      [['batch', 3], normal],
      [['rest', 1], normal],
    ],
    (x, y) => ops.add(ops.reduceSum(ops.pad(x, 1, 2, 7), 0, true), y),
  ),
  'pad to a named size': property(
    [
      [[1, 3], normal],
      [['batch', 1], normal],
    ],
    (x, y) => ops.add(ops.pad(x, 0, 0, y.shape[0]!), y),
  ),
  concat: property(
    [
      [['batch', 1, 2], normal],
      [['batch', 3, 2], normal],
      [['batch', 2, 2], normal],
    ],
    (...parts) => ops.concat(parts as [Tensor, ...Tensor[]], 1),
  ),
  pick: pointwise((x) => ops.pick(x, 1, 0)),
  'pick of the last axis': pointwise((x) => ops.pick(x, 2, 1)),
  gather: property(
    [
      [[5, 3], normal],
      [['batch', 'sequence'], below(5)],
    ],
    ops.gather,
  ),
  'gather from a table of named length': property(
    [
      [['sequence', 2, 3], normal],
      [['batch'], below('sequence')],
    ],
    ops.gather,
  ),
  scatterAdd: property(
    [
      [['batch', 'sequence', 3], normal],
      [['batch', 'sequence'], below(4)],
    ],
    (updates, indices) => ops.scatterAdd(updates, indices, [4, 3]),
  ),
  'scatterAdd into a table of named length': property(
    [
      [['batch', 3], normal],
      [['batch'], below('sequence')],
      [['sequence', 1], normal],
    ],
    (updates, indices, factor) => ops.multiply(ops.scatterAdd(updates, indices, [factor.shape[0]!, 3]), factor),
  ),
  pickLast: property(
    [
      [REST, normal],
      [['batch', 'sequence'], below(4)],
    ],
    ops.pickLast,
  ),
  'pickLast of a named axis': property(
    [
      [['batch', 'sequence'], normal],
      [['batch'], below('sequence')],
    ],
    ops.pickLast,
  ),
  linear: property(
    [
      [['batch', 'sequence', 3], normal],
      [[3, 2], normal],
      [[2], normal],
    ],
    ops.linear,
  ),
  'product of a batch with a matrix, transposed': property(
    [
      [['batch', 'sequence', 3], normal],
      [[5, 3], normal],
    ],
    (x, table) => ops.matmul(x, table, { transposeB: true, scale: 0.5 }),
  ),
  'product of batches over a named size': property(
    [
      [['batch', 2, 'sequence', 3], normal],
      [['batch', 2, 'sequence', 2], normal],
    ],
    (a, b) => ops.matmul(a, b, { transposeA: true, scale: 2 }),
  ),
  'product of transposed batches': property(
    [
      [['batch', 'sequence', 3], normal],
      [['batch', 2, 'sequence'], normal],
    ],
    (a, b) => ops.matmul(a, b, { transposeA: true, transposeB: true }),
  ),
  'product with a batch of one': property(
    [
      [['batch', 2, 3], normal],
      [[1, 3, 2], normal],
    ],
    (a, b) => ops.matmul(a, b),
  ),
  layerNorm: property(
    [
      [REST, normal],
      [[4], normal],
      [[4], normal],
    ],
    (x, scale, shift) => ops.layerNorm(x, { scale, shift, epsilon: 1e-2 }),
  ),
  rmsNorm: property(
    [
      [REST, normal],
      [[4], normal],
    ],
    (x, scale) => ops.rmsNorm(x, scale, 1e-2),
  ),
  'rmsNorm of each head': property(
    [
      [['batch', 2, 'sequence', 4], normal],
      [[4], normal],
    ],
    (x, scale) => ops.rmsNorm(x, scale, 1e-2),
  ),
  dropout: property(
    [
      [REST, normal],
      [REST, bytes],
    ],
    (x, kept) => ops.dropout(x, kept, 0.25),
  ),
  rotate: property(
    [
      [['batch', 2, 'sequence', 4], normal],
      [['batch', 'sequence'], below('sequence')],
    ],
    (x, positions) => ops.rotate(x, positions, angles),
  ),
  'attend under a causal mask': property(
    [
      [['batch', 4, 'sequence', 3], normal],
      [['batch', 2, 'sequence', 3], normal],
      [['batch', 2, 'sequence', 3], normal],
      [['batch', 'sequence'], below(2)],
      [['batch', 'sequence'], below(3)],
    ],
    (query, key, value, text, branch) => ops.attend(query, key, value, ops.branchMask(text, branch)),
  ),
  'attend under a padding mask': property(
    [
      [['batch', 2, 'sequence', 3], normal],
      [['batch', 2, 'sequence', 3], normal],
      [['batch', 2, 'sequence', 3], normal],
      [['batch'], below('sequence')],
    ],
    (query, key, value, lengths) => {
      const one = lengths.graph.constant(Int32Array.of(1), []);
      return ops.attend(query, key, value, ops.paddingMask(ops.add(lengths, one), query.shape[2]!));
    },
  ),
  tokenLogProbabilities: property(
    [
      [['chunks', 'rows', 3], normal],
      [[7, 3], normal, 'frozen'],
      [['chunks', 'rows'], below(7)],
    ],
    (hidden, table, tokens) => ops.tokenLogProbabilities(hidden, ops.frozenTensor(table), tokens, true),
  ),
};

const NAMES = ['batch', 'sequence', 'chunks', 'rows', 'rest'];
const DRAWS = 2;
/** More numbers than any result in this file has. */
const LONGEST = 2000;
const TOLERANCE = 4e-3;

/** The first draw has a batch of one and a text of one token; the others are random. */
function drawSizes(random: Random, draw: number): Sizes {
  return Object.fromEntries(NAMES.map((name) => [name, draw === 0 ? 1 : 1 + random.below(4)]));
}

const sizeOf = (dimension: Dimension, sizes: Sizes) => (typeof dimension === 'number' ? dimension : sizes[dimension]!);
const dtypeOf = (draw: Draw): CheckedInput['dtype'] => {
  const data = draw(new Random(0), 1, drawSizes(new Random(0), 0));
  return data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'uint8';
};

/** Compiles a property. @param sizes undefined: the graph knows the sizes only by name */
function compile({ inputs, build }: Property, sizes?: Sizes): Promise<CheckedFunction> {
  const specified = inputs.map(([shape, draw, frozen]): CheckedInput => {
    const known = sizes === undefined ? shape : shape.map((dimension) => sizeOf(dimension, sizes));
    return { dtype: dtypeOf(draw), shape: known, frozen: frozen !== undefined };
  });
  return CheckedFunction.compile(specified, build, cache);
}

async function check(checked: CheckedFunction, { inputs }: Property, sizes: Sizes, random: Random): Promise<void> {
  const values = inputs.map(([shape, draw]): Value => {
    const known = shape.map((dimension) => sizeOf(dimension, sizes));
    const count = known.reduce((product, size) => product * size, 1);
    return { dtype: dtypeOf(draw), shape: known, data: draw(random, count, sizes) };
  });
  const seed = Float32Array.from({ length: LONGEST }, () => random.normal());
  const { result, gradients } = await checked.run(values, seed);
  checked.shape.forEach((dimension, axis) => {
    const expected = typeof dimension === 'number' ? dimension : sizes[dimension];
    if (expected !== undefined) expect(result.shape[axis]).toBe(expected);
  });
  values.forEach(({ data }, index) => {
    if (gradients[index] !== undefined) expect(gradients[index]).toHaveLength(data.length);
  });
  const [widest] = await checked.deviations(values, seed);
  expect(widest!.distance, JSON.stringify({ sizes, widest })).toBeLessThan(TOLERANCE);
}

describe('a gradient equals finite differences', () => {
  test.each(Object.entries(PROPERTIES))('%s', async (_, one) => {
    const random = new Random(11);
    const named = await compile(one);
    for (let draw = 0; draw < DRAWS; draw++) await check(named, one, drawSizes(random, draw), random);
    await named.close();
    const sizes = drawSizes(random, DRAWS);
    const numbered = await compile(one, sizes);
    await check(numbered, one, sizes, random);
    await numbered.close();
  });
});

describe('broadcasting', () => {
  const operations = { add: ops.add, subtract: ops.subtract, multiply: ops.multiply, divide: ops.divide };
  test.each(Object.entries(operations))('%s', async (_, operation) => {
    const random = new Random(12);
    for (let draw = 0; draw < 2 * DRAWS; draw++) {
      const shape: Shape = ['batch', 'sequence', 2, 3].slice(random.below(4));
      const part = () => shape.slice(random.below(shape.length + 1)).map((size) => (random.below(3) === 0 ? 1 : size));
      const inputs: Input[] = [
        [part(), normal],
        [part(), aboveZero],
      ];
      const one = property(random.below(2) === 0 ? inputs : [inputs[1]!, inputs[1]!], operation);
      const checked = await compile(one);
      await check(checked, one, drawSizes(random, draw), random);
      await checked.close();
    }
  });

  test('matmul', async () => {
    const random = new Random(13);
    for (let draw = 0; draw < 3 * DRAWS; draw++) {
      const [transposeA, transposeB] = [random.below(2) === 0, random.below(2) === 0];
      const batches = () =>
        ['batch', 2].slice(random.below(3)).map((size) => (random.below(3) === 0 ? 1 : size)) as Dimension[];
      const [rows, inner, columns]: Dimension[] = ['rows', 'sequence', 3];
      const a = [...batches(), ...(transposeA ? [inner!, rows!] : [rows!, inner!])];
      const b = [...batches(), ...(transposeB ? [columns!, inner!] : [inner!, columns!])];
      const options = { transposeA, transposeB, scale: random.below(2) === 0 ? 1 : 0.7 };
      const one = property(
        [
          [a, normal],
          [b, normal],
        ],
        (x, y) => ops.matmul(x, y, options),
      );
      const checked = await compile(one);
      await check(checked, one, drawSizes(random, draw), random);
      await checked.close();
    }
  });
});
