import type { Tensor } from '../graph.ts';
import { productShape } from './linear.ts';

/** A matrix of signed bytes with one scale per column: column j means `values[:, j] · scale[j]`. */
export interface QuantizedMatrix {
  /** // [in, out], int8 */
  values: Tensor;
  /** // [out] */
  scale: Tensor;
}

/**
 * x · weight + bias, with x converted to unsigned bytes by its range over the batch (dynamic quantisation).
 * // x [..., in], weight [in, out], bias [out] → [..., out]
 */
export function quantizedLinear(x: Tensor, weight: QuantizedMatrix, bias: Tensor): Tensor {
  return x.graph.node({
    operator: 'DynamicQuantizeMatMul',
    domain: 'com.microsoft',
    inputs: [x, weight.values, weight.scale, undefined, bias],
    outputs: [{ dtype: 'float32', shape: productShape('DynamicQuantizeMatMul', x, weight.values) }],
  })[0]!;
}

/**
 * {@link selfAttention} with a product of bytes for query, key and value; the attention itself is in f32.
 * // x [batch, sequence, hidden], weight [hidden, 3 · hidden] → [batch, sequence, hidden]
 */
export function quantizedSelfAttention(
  x: Tensor,
  weight: QuantizedMatrix,
  bias: Tensor,
  lengths: Tensor | undefined,
  heads: number,
): Tensor {
  const { graph } = x;
  const [bytes, scale, zero] = graph.node({
    operator: 'DynamicQuantizeLinear',
    inputs: [x],
    outputs: [
      { dtype: 'uint8', shape: x.shape },
      { dtype: 'float32', shape: [] },
      { dtype: 'uint8', shape: [] },
    ],
  });
  return graph.node({
    operator: 'QAttention',
    domain: 'com.microsoft',
    inputs: [bytes, weight.values, bias, scale, weight.scale, lengths, zero],
    outputs: [{ dtype: 'float32', shape: x.shape }],
    attributes: { num_heads: heads },
  })[0]!;
}
