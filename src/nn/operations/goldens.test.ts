import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { CheckedFunction, type CheckedInput } from '../gradient-check.ts';
import type { Shape, Tensor } from '../graph.ts';
import type { Value } from '../runtime-messages.ts';
import * as ops from './index.ts';

// Outputs and gradients that PyTorch computed (reference/operations.py).

const tensorSchema = z.object({
  shape: z.array(z.int()),
  dtype: z.literal('int64').optional(),
  data: z.array(z.number()),
});
const caseSchema = z.object({
  operation: z.string(),
  name: z.string(),
  attributes: z.record(z.string(), z.unknown()),
  inputs: z.array(tensorSchema),
  output: tensorSchema,
  seed: tensorSchema,
  gradients: z.array(tensorSchema.nullable()),
});
type Golden = z.output<typeof caseSchema>;
type GoldenTensor = z.output<typeof tensorSchema>;

const file = new URL('../goldens/operations.json', import.meta.url);
const { cases } = z.object({ cases: z.array(caseSchema) }).parse(JSON.parse(readFileSync(file, 'utf8')));

type Build = (inputs: Tensor[], golden: Golden) => Tensor;

const number = ({ attributes }: Golden, name: string) => z.number().parse(attributes[name]);
const numbers = ({ attributes }: Golden, name: string) => z.array(z.int()).parse(attributes[name]);
const flag = ({ attributes }: Golden, name: string) => attributes[name] === true;

/** Converts axes to count from 0. */
function axesOf(x: Tensor, golden: Golden): number[] {
  const axes = golden.attributes.axes === null ? x.shape.map((_, axis) => axis) : numbers(golden, 'axes');
  return axes.map((axis) => (axis + x.shape.length) % x.shape.length);
}

const reduction =
  (operation: typeof ops.reduceSum): Build =>
  ([x], golden) =>
    operation(x!, axesOf(x!, golden), flag(golden, 'keepDimensions'));
const pair =
  (operation: (a: Tensor, b: Tensor) => Tensor): Build =>
  ([a, b]) =>
    operation(a!, b!);
const single =
  (operation: (x: Tensor) => Tensor): Build =>
  ([x]) =>
    operation(x!);

const rowsOf = (x: Tensor): Shape => [x.shape[0]!, 1, ...x.shape.slice(1)];

const BUILDS: Record<string, Build> = {
  matmul: ([a, b], golden) =>
    ops.matmul(a!, b!, { transposeA: flag(golden, 'transposeA'), transposeB: flag(golden, 'transposeB') }),
  linear: ([x, weight, bias]) => ops.linear(x!, ops.transpose(weight!, [1, 0]), bias),
  add: pair(ops.add),
  sub: pair(ops.subtract),
  mul: pair(ops.multiply),
  div: pair(ops.divide),
  reshape: ([x], golden) => ops.reshape(x!, numbers(golden, 'shape')),
  transpose: ([x], golden) => ops.transpose(x!, numbers(golden, 'order')),
  slice: ([x], golden) => {
    const { shape } = x!;
    const axis = (number(golden, 'axis') + shape.length) % shape.length;
    const size = Number(shape[axis]);
    const start = (number(golden, 'start') + size) % size;
    return ops.slice(x!, axis, start, golden.attributes.end === null ? size : number(golden, 'end'));
  },
  concat: (inputs, golden) => {
    const rank = inputs[0]!.shape.length;
    return ops.concat(inputs as [Tensor, ...Tensor[]], (number(golden, 'axis') + rank) % rank);
  },
  gather: pair(ops.gather),
  expand: ([x], golden) => ops.expand(x!, numbers(golden, 'shape')),
  where: ([condition, a, b]) =>
    ops.where(ops.equal(condition!, condition!.graph.constant(Int32Array.of(1), [])), a!, b!),
  sum: reduction(ops.reduceSum),
  mean: reduction(ops.reduceMean),
  max: reduction(ops.reduceMax),
  exp: single(ops.exp),
  tanh: single(ops.tanh),
  sigmoid: single(ops.sigmoid),
  relu: single(ops.relu),
  silu: single(ops.silu),
  softplus: single(ops.softplus),
  neg: single(ops.negate),
  log: single(ops.log),
  sqrt: single(ops.squareRoot),
  reciprocal: single((x) => ops.divide(ops.scalar(x, 1), x)),
  gelu: ([x], golden) => ops.gelu(x!, z.enum(['none', 'tanh']).parse(golden.attributes.approximate)),
  softmax: single(ops.softmax),
  logSoftmax: single(ops.logSoftmax),
  layerNorm: ([x, scale, shift], golden) =>
    ops.layerNorm(x!, { scale: scale!, shift: shift!, epsilon: number(golden, 'epsilon') }),
  rmsNorm: ([x, scale], golden) => ops.rmsNorm(x!, scale!, number(golden, 'epsilon')),
  l2Normalize: single(ops.l2Normalize),
  rotary: ([x, positions], golden) => {
    const half = Number(x!.shape.at(-1)) / 2;
    const inverse = Float32Array.from({ length: half }, (_, index) => number(golden, 'theta') ** (-index / half));
    return ops.rotate(x!, positions!, { inverse, scale: 1 });
  },
  attention: ([query, key, value, seen], golden) => {
    const { graph } = seen!;
    const lengths = ops.cast(ops.reduceSum(ops.cast(seen!, 'float32'), 1), 'int32');
    const padding = ops.paddingMask(lengths, seen!.shape[1]!);
    const one = graph.constant(new Int32Array(Number(seen!.shape[0]) * Number(seen!.shape[1])), seen!.shape);
    return ops.attend(
      query!,
      key!,
      value!,
      flag(golden, 'causal') ? ops.add(ops.branchMask(one, one), padding) : padding,
    );
  },
  gatherLogProbabilities: ([x, targets]) => ops.pickLast(ops.logSoftmax(x!), targets!),
  crossEntropy: ([x, targets]) => ops.negate(ops.reduceMean(ops.pickLast(ops.logSoftmax(x!), targets!), 0)),
  headLogProbabilities: ([hidden, head, targets]) => {
    const [rows, ids] = [ops.reshape(hidden!, rowsOf(hidden!)), ops.reshape(targets!, rowsOf(targets!))];
    return ops.reshape(ops.tokenLogProbabilities(rows, ops.frozenTensor(head!), ids, true), targets!.shape);
  },
};

/** The vocabulary's vectors have no gradient. */
const FROZEN: Record<string, number> = { headLogProbabilities: 1 };

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-goldens-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

function asValue({ dtype, shape, data }: GoldenTensor): Value {
  return dtype === 'int64'
    ? { dtype: 'int32', shape, data: Int32Array.from(data) }
    : { dtype: 'float32', shape, data: Float32Array.from(data) };
}

/** Pads texts with rows of zeros, because the rotation needs positions below the sequence length. */
function lengthened(golden: Golden): Golden {
  const length = 51;
  const fill = ({ shape, data, ...rest }: GoldenTensor, axis: number): GoldenTensor => {
    const inner = shape.slice(axis).reduce((product, size) => product * size, 1);
    const rows = Array.from({ length: data.length / inner }, (_, row) => data.slice(row * inner, (row + 1) * inner));
    const width = (inner / shape[axis]!) * length;
    const filled = rows.flatMap((row) => [...row, ...new Array<number>(width - inner).fill(0)]);
    return { shape: shape.with(axis, length), data: filled, ...rest };
  };
  const [x, positions] = golden.inputs as [GoldenTensor, GoldenTensor];
  const [output, seed, gradient] = [golden.output, golden.seed, golden.gradients[0]!].map((one) => fill(one, 2));
  return {
    ...golden,
    inputs: [fill(x, 2), fill(positions, 1)],
    output: output!,
    seed: seed!,
    gradients: [gradient!, null],
  };
}

/** Expects equality within the rounding of 32-bit floats. */
function expectClose(found: ArrayLike<number>, { data }: GoldenTensor): void {
  const tolerance = 3e-6 * Math.max(1, ...data.map(Math.abs));
  expect(found.length).toBe(data.length);
  for (const [index, expected] of data.entries()) {
    expect(Math.abs(found[index]! - expected), `number ${index}: ${found[index]} for ${expected}`).toBeLessThan(
      tolerance,
    );
  }
}

test('every operation of the goldens is known', () => {
  expect([...new Set(cases.map(({ operation }) => operation))].sort()).toEqual(Object.keys(BUILDS).sort());
});

test.each(cases.map((golden) => [golden.operation, golden.name, golden] as const))(
  'equals PyTorch: %s, %s',
  async (_, __, given) => {
    const golden = given.operation === 'rotary' ? lengthened(given) : given;
    const values = golden.inputs.map(asValue);
    const isFrozen = (index: number) => golden.gradients[index] === null || FROZEN[golden.operation] === index;
    const inputs = values.map(({ dtype, shape }, index): CheckedInput => ({ dtype, shape, frozen: isFrozen(index) }));
    const build = (...tensors: Tensor[]) => BUILDS[golden.operation]!(tensors, golden);
    const checked = await CheckedFunction.compile(inputs, build, cache);
    try {
      const { result, gradients } = await checked.run(values, Float32Array.from(golden.seed.data));
      expect(result.shape).toEqual(golden.output.shape);
      expectClose(result.data as Float32Array, golden.output);
      for (const [index, gradient] of golden.gradients.entries()) {
        if (!isFrozen(index)) expectClose(gradients[index]!, gradient!);
      }
    } finally {
      await checked.close();
    }
  },
);
