import {
  type Dimension,
  describeShape,
  describeTensor,
  type GradientRule,
  type Graph,
  type Shape,
  type Tensor,
} from '../graph.ts';
import { add, cast, expand, multiply, reshape } from './arithmetic.ts';
import { joined, requireAxes, requireFit, sameShape, sizesOf } from './shapes.ts';

/** Flattens all axes but the last // [..., columns] → [rows, columns] */
export function flattenRows(x: Tensor): Tensor {
  const leading = x.shape.slice(0, -1);
  if (leading.length === 1) return x;
  const known = leading.every((size) => typeof size === 'number');
  const rows = known ? leading.reduce<number>((product, size) => product * Number(size), 1) : leading.join('·');
  return reshape(x, [rows, x.shape.at(-1)!]);
}

/** Reorders axes: axis i of the result is axis `order[i]` of x. */
export function transpose(x: Tensor, order: readonly number[]): Tensor {
  const inverse = x.shape.map((_, axis) => order.indexOf(axis));
  if (order.length !== x.shape.length || inverse.includes(-1)) {
    throw x.graph.fault('Transpose', `${order.join(', ')} is not a permutation of the axes of ${describeTensor(x)}`);
  }
  const gradient: GradientRule = (upstream) => [() => transpose(upstream, inverse)];
  const outputs = [{ dtype: x.dtype, shape: order.map((axis) => x.shape[axis]!) }];
  return x.graph.node({ operator: 'Transpose', inputs: [x], outputs, attributes: { perm: order }, gradient })[0]!;
}

/** Entries `start` up to, not including, `end` of one axis. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  requireAxes('Slice', x, [axis]);
  const size = x.shape[axis]!;
  if (start < 0 || start > end || (typeof size === 'number' && end > size)) {
    throw x.graph.fault('Slice', `${start} to ${end} does not fit axis ${axis} of ${describeTensor(x)}`);
  }
  const bounds = [start, end, axis].map((bound) => x.graph.constant(BigInt64Array.of(BigInt(bound)), [1]));
  const gradient: GradientRule = (upstream) => [() => pad(upstream, axis, start, size)];
  const outputs = [{ dtype: x.dtype, shape: x.shape.map((other, at) => (at === axis ? end - start : other)) }];
  return x.graph.node({ operator: 'Slice', inputs: [x, ...bounds], outputs, gradient })[0]!;
}

/**
 * Pads x with zeros along one axis, on which x must have a known size: `before` zeros in front, and the rest up to
 * `size` after.
 */
export function pad(x: Tensor, axis: number, before: number, size: Dimension): Tensor {
  const { graph, shape } = x;
  const own = shape[axis];
  if (typeof own !== 'number') throw graph.fault('Pad', `axis ${axis} of ${describeTensor(x)} has no known size`);
  const rank = shape.length;
  const zeros = (count: number) => graph.constant(new BigInt64Array(count), [count]);
  const front = graph.constant(BigInt64Array.of(BigInt(before)), [1]);
  const used = graph.constant(BigInt64Array.of(BigInt(before + own)), [1]);
  const back = graph.node({ operator: 'Sub', inputs: [graph.size(size), used], outputs: [used] })[0]!;
  const widths = [zeros(axis), front, zeros(rank - 1), back, zeros(rank - axis - 1)] as const;
  const gradient: GradientRule = (upstream) => [() => slice(upstream, axis, before, before + own)];
  const outputs = [{ dtype: x.dtype, shape: shape.map((other, at) => (at === axis ? size : other)) }];
  return graph.node({ operator: 'Pad', inputs: [x, joined(graph, widths)], outputs, gradient })[0]!;
}

/** Concatenates tensors along an axis of known sizes. @throws ModelError if other sizes differ */
export function concat(parts: readonly [Tensor, ...Tensor[]], axis: number): Tensor {
  const [first] = parts;
  const sizes = parts.map((part) => {
    const others = (shape: Shape) => describeShape(shape.filter((_, at) => at !== axis));
    const size = part.shape[axis];
    if (typeof size === 'number' && others(part.shape) === others(first.shape)) return size;
    throw first.graph.fault('Concat', `${describeTensor(first)} and ${describeTensor(part)} along axis ${axis}`);
  });
  const ends = sizes.map((_, index) => sizes.slice(0, index + 1).reduce((sum, size) => sum + size));
  const gradient: GradientRule = (upstream) =>
    parts.map((_, index) => () => slice(upstream, axis, ends[index]! - sizes[index]!, ends[index]!));
  const outputs = [{ dtype: first.dtype, shape: first.shape.map((size, at) => (at === axis ? ends.at(-1)! : size)) }];
  return first.graph.node({ operator: 'Concat', inputs: parts, outputs, attributes: { axis }, gradient })[0]!;
}

/** Rows of a table: table // [rows, ...rest], indices // [...any] → [...any, ...rest]. */
export function gather(table: Tensor, indices: Tensor): Tensor {
  requireIndices('Gather', table, indices);
  const gradient: GradientRule = (upstream) => [() => scatterAdd(upstream, indices, table.shape)];
  const outputs = [{ dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] }];
  const node = { operator: 'Gather', inputs: [table, indices], outputs, attributes: { axis: 0 } };
  return indices.graph.node({ ...node, gradient })[0]!;
}

/**
 * Adds rows to a table of zeros; an index may occur several times. Number by number (ONNX's ScatterElements): the runtime's ScatterND
 * adds rows in several threads at once, and loses some of those that have one index.
 * // updates [...any, ...rest], indices [...any] → shape [rows, ...rest]
 */
export function scatterAdd(updates: Tensor, indices: Tensor, shape: Shape): Tensor {
  const { graph } = updates;
  requireIndices('ScatterElements', updates, indices);
  const rest = shape.slice(1);
  const fitting = sameShape(updates.shape, [...indices.shape, ...rest]);
  requireFit(fitting, 'ScatterElements', updates, indices, `do not fit a table ${describeShape(shape)}`);
  const known = indices.shape.every((size) => typeof size === 'number');
  const count = known ? indices.shape.reduce<number>((n, size) => n * Number(size), 1) : indices.shape.join('·');
  const rows = reshape(updates, [count, ...rest]);
  const flat = reshape(indices, [count]);
  const at = expand(reshape(flat, [count, ...rest.map(() => 1)]), rows.shape);
  const zeros = graph.node({
    operator: 'ConstantOfShape',
    inputs: [tiedSizes(shape, updates)],
    outputs: [{ ...updates, shape }],
  });
  const gradient: GradientRule = (upstream) => [undefined, undefined, () => gather(upstream, flat)];
  const outputs = [{ dtype: updates.dtype, shape }];
  const attributes = { axis: 0, reduction: 'add' };
  const node = { operator: 'ScatterElements', inputs: [zeros[0], at, rows], outputs, attributes };
  return graph.node({ ...node, gradient })[0]!;
}

/** Returns entry `index` of one axis, and removes the axis: [batch, 2, hidden] at axis 1 → [batch, hidden]. */
export function pick(x: Tensor, axis: number, index: number): Tensor {
  const { shape } = x;
  requireAxes('Gather', x, [axis]);
  const size = shape[axis]!;
  if (index < 0 || (typeof size === 'number' && index >= size)) {
    throw x.graph.fault('Gather', `axis ${axis} of ${describeTensor(x)} has no entry ${index}`);
  }
  const at = x.graph.constant(BigInt64Array.of(BigInt(index)), []);
  const gradient: GradientRule = (upstream) => [() => pad(unsqueeze(upstream, axis), axis, index, size)];
  const outputs = [{ dtype: x.dtype, shape: shape.filter((_, other) => other !== axis) }];
  return x.graph.node({ operator: 'Gather', inputs: [x, at], outputs, attributes: { axis }, gradient })[0]!;
}

/** Adds an axis of size 1. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  const at = x.graph.constant(BigInt64Array.of(BigInt(axis)), [1]);
  const gradient: GradientRule = (upstream) => [() => reshape(upstream, x.shape)];
  const outputs = [{ dtype: x.dtype, shape: [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)] }];
  return x.graph.node({ operator: 'Unsqueeze', inputs: [x, at], outputs, gradient })[0]!;
}

function requireIndices(operator: string, table: Tensor, indices: Tensor): void {
  const whole = indices.dtype === 'int32' || indices.dtype === 'int64';
  requireFit(whole, operator, table, indices, `need integer indices, not ${indices.dtype}`);
}

/** 0, 1, ... up to a named size // [that size], int32 */
export function range(graph: Graph, dimension: Dimension): Tensor {
  return graph.once(`range of ${dimension}`, () => {
    const limit = reshape(graph.size(dimension), []);
    const [from, step] = [0n, 1n].map((bound) => graph.constant(BigInt64Array.of(bound), []));
    const outputs = [{ dtype: 'int64' as const, shape: [dimension] }];
    return cast(graph.node({ operator: 'Range', inputs: [from, limit, step], outputs })[0]!, 'int32');
  });
}

/**
 * Returns a shape as a value that the runtime cannot know in advance: otherwise it would store a large table of zeros
 * in the model.
 */
function tiedSizes(shape: Shape, x: Tensor): Tensor {
  return add(zeroAfter(x), sizesOf(x.graph, shape));
}

/** Returns 0 as a value that the runtime cannot know before x // [], int64 */
export function zeroAfter(x: Tensor): Tensor {
  const count = x.graph.node({ operator: 'Size', inputs: [x], outputs: [{ dtype: 'int64', shape: [] }] })[0]!;
  return multiply(count, x.graph.constant(BigInt64Array.of(0n), []));
}
