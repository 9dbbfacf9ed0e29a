import type { Tensor } from '../graph.ts';
import { divide, maximum } from './elementwise.ts';

/** Sum over one axis. */
export const reduceSum = (x: Tensor, axis: number, keep = false): Tensor => reduce('ReduceSum', x, axis, keep);

/** Mean over one axis. */
export const reduceMean = (x: Tensor, axis: number, keep = false): Tensor => reduce('ReduceMean', x, axis, keep);

/** Largest value along one axis. */
export const reduceMax = (x: Tensor, axis: number, keep = false): Tensor => reduce('ReduceMax', x, axis, keep);

/** Euclidean length along one axis. */
export const norm = (x: Tensor, axis: number, keep = false): Tensor => reduce('ReduceL2', x, axis, keep);

/** exp(x) / Σ exp(x) along the last axis. */
export function softmax(x: Tensor): Tensor {
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  return x.graph.node({ operator: 'Softmax', inputs: [x], outputs, attributes: { axis: x.shape.length - 1 } })[0]!;
}

/** x / max(‖x‖₂, 1e-12) along the last axis, as torch.nn.functional.normalize has it. */
export function l2Normalize(x: Tensor): Tensor {
  const smallest = x.graph.constant(Float32Array.of(1e-12), []);
  return divide(x, maximum(norm(x, x.shape.length - 1, true), smallest));
}

function reduce(operator: string, x: Tensor, axis: number, keep: boolean): Tensor {
  const shape = keep
    ? x.shape.map((size, other) => (other === axis ? 1 : size))
    : x.shape.filter((_, other) => other !== axis);
  const axes = x.graph.constant(BigInt64Array.of(BigInt(axis)), [1]);
  const attributes = { keepdims: keep ? 1 : 0 };
  return x.graph.node({ operator, inputs: [x, axes], outputs: [{ dtype: x.dtype, shape }], attributes })[0]!;
}
