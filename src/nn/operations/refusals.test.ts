import { expect, test } from 'vitest';
import { ModelError } from '../../system/index.ts';
import { gradients } from '../gradients.ts';
import { Graph, type Shape, type Tensor } from '../graph.ts';
import * as ops from './index.ts';

// For operands that do not fit, the error names the operation, and both operands with their scopes.

const graph = new Graph();
const floats = (name: string, shape: Shape) => graph.input(name, 'float32', shape);
const whole = (name: string, shape: Shape) => graph.input(name, 'int32', shape);
const x = floats('x', ['batch', 3]);
const three = floats('three', [3]);
const ids = whole('ids', ['batch']);
const heads = floats('heads', ['batch', 4, 'sequence', 8]);
const positions = whole('positions', ['batch', 'sequence']);
const made = graph.scope('layer.0', () => ops.exp(x));
const frequencies = { inverse: Float32Array.of(1, 0.1), scale: 1 };

test.each<[string, () => Tensor, RegExp]>([
  [
    'matmul',
    () => graph.scope('layer.1', () => ops.matmul(made, graph.weight('w', 'float32', [4, 2]))),
    /operation layer\.1\/MatMul: inner sizes of layer\.0\/Exp \[batch, 3\] and w \[4, 2\] differ/,
  ],
  [
    'matmul of batches',
    () => ops.matmul(heads, floats('others', ['batch', 3, 8, 2])),
    /batches of heads \[batch, 4, sequence, 8\] and others \[batch, 3, 8, 2\] do not broadcast/,
  ],
  [
    'linear',
    () => ops.linear(x, floats('wide', [3, 5]), three),
    /Add: shapes of MatMul.* \[batch, 5\] and three \[3\]/,
  ],
  [
    'add',
    () => ops.add(made, floats('four', [4])),
    /Add: shapes of layer\.0\/Exp \[batch, 3\] and four \[4\] do not broadcast/,
  ],
  [
    'element types',
    () => ops.add(x, ops.range(graph, 'batch')),
    /Add: element types float32 of x \[batch, 3\] and int32 of Cast \[batch\] differ/,
  ],
  [
    'where',
    () => ops.where(ops.less(x, three), x, ids),
    /x \[batch, 3\] and ids \[batch\] differ in element type, float32 and int32/,
  ],
  ['condition', () => ops.where(x, x, three), /Where: x \[batch, 3\] and x \[batch, 3\] need a condition of type bool/],
  ['reshape', () => ops.reshape(x, ['rows', 'columns']), /x \[batch, 3\] to \[rows, columns\]: more than one unknown/],
  ['reshape of known sizes', () => ops.reshape(three, [2, 2]), /Reshape: three \[3\] does not fill \[2, 2\]/],
  ['expand', () => ops.expand(x, ['batch', 4]), /Expand: x \[batch, 3\] cannot be broadcast to \[batch, 4\]/],
  ['transpose', () => ops.transpose(x, [1, 1]), /Transpose: 1, 1 is not a permutation of the axes of x \[batch, 3\]/],
  ['slice', () => ops.slice(x, 1, 2, 4), /Slice: 2 to 4 does not fit axis 1 of x \[batch, 3\]/],
  ['slice of no axis', () => ops.slice(x, 2, 0, 1), /Slice: x \[batch, 3\] has no axis 2/],
  ['pad', () => ops.pad(x, 0, 1, 9), /Pad: axis 0 of x \[batch, 3\] has no known size/],
  [
    'concat',
    () => ops.concat([x, floats('longer', ['rows', 2])], 1),
    /Concat: x \[batch, 3\] and longer \[rows, 2\] along axis 1/,
  ],
  ['gather', () => ops.gather(x, three), /Gather: x \[batch, 3\] and three \[3\] need integer indices/],
  [
    'scatterAdd',
    () => ops.scatterAdd(three, ids, [9, 3]),
    /ScatterElements: three \[3\] and ids \[batch\] do not fit a table \[9, 3\]/,
  ],
  ['pick', () => ops.pick(x, 1, 3), /Gather: axis 1 of x \[batch, 3\] has no entry 3/],
  ['pickLast', () => ops.pickLast(x, positions), /x \[batch, 3\] and positions \[batch, sequence\] differ in an axis/],
  ['reduceSum', () => ops.reduceSum(x, -1), /ReduceSum: x \[batch, 3\] has no axis -1/],
  ['reduceMean', () => ops.reduceMean(x, [0, 2]), /ReduceMean: x \[batch, 3\] has no axis 2/],
  [
    'layerNorm',
    () => ops.layerNorm(x, { scale: three, shift: floats('two', [2]), epsilon: 1 }),
    /LayerNormalization: x \[batch, 3\] and two \[2\] differ in the last axis/,
  ],
  ['rmsNorm', () => ops.rmsNorm(x, ids, 1), /x \[batch, 3\] and ids \[batch\] differ in the last axis/],
  [
    'dropout',
    () => ops.dropout(x, graph.mask('kept', [3], 0.1), 0.1),
    /Dropout: x \[batch, 3\] and kept \[3\] differ in shape/,
  ],
  [
    'rotate',
    () => ops.rotate(heads, ids, frequencies),
    /heads \[batch, 4, sequence, 8\] and ids \[batch\] differ in texts or their lengths/,
  ],
  [
    'rotate by too few frequencies',
    () => ops.rotate(heads, positions, frequencies),
    /heads .* and positions .* do not fit 2 frequencies per head/,
  ],
  [
    'attend',
    () =>
      ops.attend(heads, floats('keys', ['batch', 3, 'sequence', 8]), floats('values', ['batch', 3, 'sequence', 8]), x),
    /attend: heads \[batch, 4, sequence, 8\] and keys \[batch, 3, sequence, 8\] differ in more than/,
  ],
  [
    'values of other keys',
    () => ops.attend(heads, heads, floats('short', ['batch', 4, 'sequence', 6]), x),
    /attend: heads .* and short \[batch, 4, sequence, 6\] differ in shape/,
  ],
  [
    'branchMask',
    () => ops.branchMask(positions, ids),
    /branchMask: positions \[batch, sequence\] and ids \[batch\] differ in shape/,
  ],
  [
    'tokenLogProbabilities',
    () => {
      const hidden = floats('hidden', ['chunks', 'rows', 3]);
      return ops.tokenLogProbabilities(hidden, ops.frozenTensor(floats('table', [9, 3])), positions, true);
    },
    /Scan: hidden \[chunks, rows, 3\] and positions \[batch, sequence\] differ in chunks or rows/,
  ],
  ['a size that no input has', () => ops.range(graph, 'nowhere'), /no input has the size nowhere/],
])('%s', (_, build, reason) => {
  expect(build).toThrow(ModelError);
  expect(build).toThrow(reason);
});

test('a gradient of another shape, through an operation without one, or of a tensor that nothing depends on', () => {
  const ofSum = (gradient: Tensor, wrt: Tensor) => gradients([{ tensor: ops.reduceSum(made, 1), gradient }], [wrt]);
  expect(() => ofSum(x, x)).toThrow(/gradient: \[batch, 3\] is not the shape of ReduceSum.* \[batch\]/);
  const sum = ops.reduceSum(ops.reduceSum(x, 1), 0);
  expect(() => gradients([{ tensor: sum, gradient: ops.scalar(x, 1) }], [three])).toThrow(/no seed depends on three/);
  const copy = ops.cast(x, 'float32');
  expect(() => gradients([{ tensor: copy, gradient: x }], [x])).toThrow(/Cast.* has no gradient/);
});
