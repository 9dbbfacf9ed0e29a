import type { Tensor } from '../graph.ts';

/**
 * Multi-head self-attention with its own product for query, key and value, fused: the products are written straight
 * into the layout [batch, heads, sequence, head].
 *
 * @param x // [batch, sequence, hidden]
 * @param weight query, key and value side by side // [hidden, 3 · hidden]
 * @param bias // [3 · hidden]
 * @param lengths number of tokens of each text, the rest being padding // [batch], int32; none where all are full
 * @returns // [batch, sequence, hidden]
 */
export function selfAttention(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  lengths: Tensor | undefined,
  heads: number,
): Tensor {
  return x.graph.node({
    operator: 'Attention',
    domain: 'com.microsoft',
    inputs: [x, weight, bias, lengths],
    outputs: [{ dtype: x.dtype, shape: x.shape }],
    attributes: { num_heads: heads },
  })[0]!;
}
