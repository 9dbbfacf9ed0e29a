import { describeShape, type Tensor } from '../graph.ts';
import { add } from './elementwise.ts';

/** Matrix product over the last two axes // [..., m, k] · [..., k, n] → [..., m, n] @throws ModelError */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const outputs = [{ dtype: a.dtype, shape: productShape('MatMul', a, b) }];
  return a.graph.node({ operator: 'MatMul', inputs: [a, b], outputs })[0]!;
}

/** x · weight + bias // x [..., in], weight [in, out], bias [out] → [..., out] */
export function linear(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  return add(matmul(x, weight), bias);
}

/** The shape of a matrix product. @throws ModelError where the inner sizes differ */
export function productShape(operator: string, a: Tensor, b: Tensor): Tensor['shape'] {
  if (a.shape.at(-1) !== b.shape.at(-2)) {
    throw a.graph.fault(operator, `inner sizes of ${describeShape(a.shape)} and ${describeShape(b.shape)} differ`);
  }
  const leading = a.shape.length >= b.shape.length ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
  return [...leading, a.shape.at(-2)!, b.shape.at(-1)!];
}
