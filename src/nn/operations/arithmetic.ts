import {
  type Attribute,
  DTYPES,
  type Dtype,
  describeShape,
  describeTensor,
  type GradientRule,
  type Shape,
  type Tensor,
} from '../graph.ts';
import { broadcast, requireAxes, reshapeTarget, sizeAt, sizesOf } from './shapes.ts';

// The operations of this file are each other's gradients: the gradient of a sum is a copy, and that of a copy is a sum.

/** a + b, broadcast. */
export function add(a: Tensor, b: Tensor): Tensor {
  return binary('Add', a, b, (upstream) => [() => unbroadcast(upstream, a), () => unbroadcast(upstream, b)]);
}

/** a - b, broadcast. */
export function subtract(a: Tensor, b: Tensor): Tensor {
  return binary('Sub', a, b, (upstream) => [() => unbroadcast(upstream, a), () => unbroadcast(negate(upstream), b)]);
}

/** a · b element by element, broadcast. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return binary('Mul', a, b, (upstream) => [
    () => unbroadcast(multiply(upstream, b), a),
    () => unbroadcast(multiply(upstream, a), b),
  ]);
}

/** a / b element by element, broadcast. */
export function divide(a: Tensor, b: Tensor): Tensor {
  const ratio: Tensor = binary('Div', a, b, (upstream) => [
    () => unbroadcast(divide(upstream, b), a),
    () => unbroadcast(negate(multiply(divide(upstream, b), ratio)), b),
  ]);
  return ratio;
}

/** -x */
export const negate = (x: Tensor): Tensor => unary('Neg', x, (upstream) => negate(upstream));

/** Converts to another element type; no gradient. */
export function cast(x: Tensor, dtype: 'float32' | 'int32' | 'int64'): Tensor {
  const outputs = [{ dtype, shape: x.shape }];
  return x.graph.node({ operator: 'Cast', inputs: [x], outputs, attributes: { to: DTYPES[dtype] } })[0]!;
}

/** Returns a number as a tensor without axes, in the graph of x. */
export function scalar(x: Tensor, value: number): Tensor {
  return x.graph.constant(Float32Array.of(value), []);
}

/**
 * Reshapes x. At most one new size may be a name, and is inferred; other named sizes are those of the graph's inputs.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const gradient: GradientRule = (upstream) => [() => reshape(upstream, x.shape)];
  const outputs = [{ dtype: x.dtype, shape }];
  return x.graph.node({ operator: 'Reshape', inputs: [x, reshapeTarget(x, shape)], outputs, gradient })[0]!;
}

/** Repeats the numbers along axes of size 1, or along new leading axes. */
export function expand(x: Tensor, shape: Shape): Tensor {
  const added = shape.length - x.shape.length;
  const stretched = shape.flatMap((size, axis) => (axis < added || x.shape[axis - added] !== size ? [axis] : []));
  if (stretched.some((axis) => axis >= added && x.shape[axis - added] !== 1)) {
    throw x.graph.fault('Expand', `${describeTensor(x)} cannot be broadcast to ${describeShape(shape)}`);
  }
  const gradient: GradientRule = (upstream) => [() => reshape(reduceSum(upstream, stretched, true), x.shape)];
  const outputs = [{ dtype: x.dtype, shape }];
  return x.graph.node({ operator: 'Expand', inputs: [x, sizesOf(x.graph, shape)], outputs, gradient })[0]!;
}

/** One axis, or several; counted from 0. */
export type Axes = number | readonly number[];

/** Sum over axes. */
export function reduceSum(x: Tensor, axes: Axes, keep = false): Tensor {
  return reduce('ReduceSum', x, axes, keep, (upstream) => expand(upstream, x.shape));
}

/** Returns the gradient of a broadcast input: the sum over the copies of each number, in the input's shape. */
export function unbroadcast(gradient: Tensor, { shape }: Tensor): Tensor {
  const rank = gradient.shape.length;
  const stretched = gradient.shape.flatMap((size, axis) => (sizeAt(shape, axis, rank) === size ? [] : [axis]));
  const added = Array.from({ length: rank - shape.length }, (_, axis) => axis);
  const axes = [...new Set([...added, ...stretched])];
  if (axes.length === 0) return gradient;
  const summed = reduceSum(gradient, axes, true);
  return added.length === 0 ? summed : reshape(summed, shape);
}

/**
 * Adds an elementwise operation.
 * @param gradient maps the gradient of the result, and the result, to the gradient of x
 */
export function unary(
  operator: string,
  x: Tensor,
  gradient?: (upstream: Tensor, y: Tensor) => Tensor,
  attributes: Record<string, Attribute> = {},
  domain?: 'com.microsoft',
): Tensor {
  const rule: GradientRule | undefined = gradient && ((upstream) => [() => gradient(upstream, y)]);
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  const node = {
    operator,
    inputs: [x],
    outputs,
    attributes,
    ...(rule && { gradient: rule }),
    ...(domain && { domain }),
  };
  const y: Tensor = x.graph.node(node)[0]!;
  return y;
}

/** Adds an operation on pairs of numbers, broadcast. @throws ModelError if the element types differ */
export function binary(
  operator: string,
  a: Tensor,
  b: Tensor,
  gradient?: GradientRule,
  dtype: Dtype = a.dtype,
): Tensor {
  if (a.dtype !== b.dtype) {
    const types = `element types ${a.dtype} of ${describeTensor(a)} and ${b.dtype} of ${describeTensor(b)}`;
    throw a.graph.fault(operator, `${types} differ`);
  }
  const outputs = [{ dtype, shape: broadcast(operator, a, b) }];
  return a.graph.node({ operator, inputs: [a, b], outputs, ...(gradient && { gradient }) })[0]!;
}

/**
 * Adds an operation that removes axes, or reduces them to size 1.
 * @param slope maps the upstream gradient and the result, both with reduced axes of size 1, to the gradient of x
 */
export function reduce(
  operator: string,
  x: Tensor,
  axes: Axes,
  keep: boolean,
  slope: (upstream: Tensor, kept: Tensor) => Tensor,
): Tensor {
  const reduced = listOf(axes);
  requireAxes(operator, x, reduced);
  const kept = x.shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
  const shape = keep ? kept : x.shape.filter((_, axis) => !reduced.includes(axis));
  const along = x.graph.constant(BigInt64Array.from(reduced, BigInt), [reduced.length]);
  const gradient: GradientRule = (upstream) => [() => slope(reshape(upstream, kept), reshape(result, kept))];
  const attributes = { keepdims: keep ? 1 : 0 };
  const outputs = [{ dtype: x.dtype, shape }];
  const result: Tensor = x.graph.node({ operator, inputs: [x, along], outputs, attributes, gradient })[0]!;
  return result;
}

/** Returns one axis or several as a list. */
export function listOf(axes: Axes): readonly number[] {
  return typeof axes === 'number' ? [axes] : axes;
}
