import type { GradientRule, Tensor } from '../graph.ts';
import {
  type Axes,
  cast,
  divide,
  expand,
  listOf,
  multiply,
  reduce,
  reduceSum,
  reshape,
  scalar,
  subtract,
} from './arithmetic.ts';
import { equal, exp, maximum } from './elementwise.ts';
import { requireFit, sameShape } from './shapes.ts';

/** Mean over axes. */
export function reduceMean(x: Tensor, axes: Axes, keep = false): Tensor {
  return reduce('ReduceMean', x, axes, keep, (upstream) => {
    const count = listOf(axes)
      .map((axis) => cast(x.graph.size(x.shape[axis]!), 'float32'))
      .reduce((product, size) => multiply(product, size));
    return expand(divide(upstream, reshape(count, [])), x.shape);
  });
}

/** Largest value along axes; equal values share the gradient, as in torch.amax. */
export function reduceMax(x: Tensor, axes: Axes, keep = false): Tensor {
  return reduce('ReduceMax', x, axes, keep, (upstream, largest) => {
    const isLargest = cast(equal(x, largest), 'float32');
    return multiply(isLargest, divide(upstream, reduceSum(isLargest, axes, true)));
  });
}

/** Euclidean length along axes; its gradient at 0 is 0. */
export function norm(x: Tensor, axes: Axes, keep = false): Tensor {
  return reduce('ReduceL2', x, axes, keep, (upstream, length) =>
    multiply(x, divide(upstream, maximum(length, scalar(x, 1e-30)))),
  );
}

/** exp(x) / Σ exp(x) along the last axis. */
export function softmax(x: Tensor): Tensor {
  return alongLastAxis('Softmax', x, (upstream, y) => {
    const weighted = multiply(upstream, y);
    return subtract(weighted, multiply(y, reduceSum(weighted, y.shape.length - 1, true)));
  });
}

/** x - ln Σ exp(x) along the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  return alongLastAxis('LogSoftmax', x, (upstream, y) =>
    subtract(upstream, multiply(exp(y), reduceSum(upstream, y.shape.length - 1, true))),
  );
}

/** Cumulative sum along an axis; no gradient, because it only counts. */
export function cumulativeSum(x: Tensor, axis: number): Tensor {
  const along = x.graph.constant(BigInt64Array.of(BigInt(axis)), []);
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  return x.graph.node({ operator: 'CumSum', inputs: [x, along], outputs })[0]!;
}

/** x / max(‖x‖₂, 1e-12) along the last axis, as in torch.nn.functional.normalize. */
export function l2Normalize(x: Tensor): Tensor {
  return divide(x, maximum(norm(x, x.shape.length - 1, true), scalar(x, 1e-12)));
}

/** Returns the entry of the last axis at an index // x [..., n], indices [...] → [...] */
export function pickLast(x: Tensor, indices: Tensor): Tensor {
  const { graph } = x;
  const axis = x.shape.length - 1;
  const fitting = sameShape(x.shape.slice(0, -1), indices.shape);
  requireFit(fitting, 'GatherElements', x, indices, 'differ in an axis before the last');
  const at = reshape(cast(indices, 'int64'), [...indices.shape, 1]);
  const gradient: GradientRule = (upstream) => [() => multiply(upstream, oneHot(x, indices))];
  const outputs = [{ dtype: x.dtype, shape: at.shape }];
  const node = { operator: 'GatherElements', inputs: [x, at], outputs, attributes: { axis }, gradient };
  return reshape(graph.node(node)[0]!, indices.shape);
}

/** Returns 1 at the index, else 0 // indices [...] → [..., n], in the shape of x */
export function oneHot(x: Tensor, indices: Tensor): Tensor {
  const { graph } = x;
  const values = graph.constant(Float32Array.of(0, 1), [2]);
  const inputs = [cast(indices, 'int64'), graph.size(x.shape.at(-1)!), values];
  return graph.node({ operator: 'OneHot', inputs, outputs: [{ dtype: 'float32', shape: x.shape }] })[0]!;
}

function alongLastAxis(operator: string, x: Tensor, slope: (upstream: Tensor, y: Tensor) => Tensor): Tensor {
  const gradient: GradientRule = (upstream) => [() => slope(upstream, y)];
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  const y: Tensor = x.graph.node({ operator, inputs: [x], outputs, attributes: { axis: -1 }, gradient })[0]!;
  return y;
}
