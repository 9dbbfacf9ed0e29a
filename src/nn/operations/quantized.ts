import type { Tensor } from '../graph.ts';
import { add, cast, multiply } from './arithmetic.ts';
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

/** {@link quantizedLinear} by ONNX's standard operators. ONNX Runtime fuses them into its own one. */
export function standardQuantizedLinear(x: Tensor, weight: QuantizedMatrix, bias: Tensor): Tensor {
  const { bytes, scale, zero } = quantized(x);
  const whole = x.graph.node({
    operator: 'MatMulInteger',
    inputs: [bytes, weight.values, zero],
    outputs: [{ dtype: 'int32', shape: productShape('MatMulInteger', x, weight.values) }],
  })[0]!;
  return add(multiply(cast(whole, 'float32'), multiply(scale, weight.scale)), bias);
}

/** x as unsigned bytes by its range over the batch: (bytes - zero) · scale */
function quantized(x: Tensor): { bytes: Tensor; scale: Tensor; zero: Tensor } {
  const [bytes, scale, zero] = x.graph.node({
    operator: 'DynamicQuantizeLinear',
    inputs: [x],
    outputs: [
      { dtype: 'uint8', shape: x.shape },
      { dtype: 'float32', shape: [] },
      { dtype: 'uint8', shape: [] },
    ],
  }) as [Tensor, Tensor, Tensor];
  return { bytes, scale, zero };
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
  const { bytes, scale, zero } = quantized(x);
  return x.graph.node({
    operator: 'QAttention',
    domain: 'com.microsoft',
    inputs: [bytes, weight.values, bias, scale, weight.scale, lengths, zero],
    outputs: [{ dtype: 'float32', shape: x.shape }],
    attributes: { num_heads: heads },
  })[0]!;
}
