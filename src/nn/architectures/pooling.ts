import type { Tensor } from '../graph.ts';
import {
  cast,
  divide,
  l2Normalize,
  less,
  matmul,
  pick,
  range,
  reduceMax,
  reshape,
  squareRoot,
  unsqueeze,
  where,
} from '../operations/index.ts';

/** How token vectors become one text vector: their mean, the first one, the maximum of each column, or sum / √count. */
export type Pooling = 'mean' | 'cls' | 'max' | 'mean_sqrt_len';

export interface PoolingOptions {
  pooling: Pooling;
  /** Whether text vectors are scaled to length 1. */
  normalize: boolean;
}

/**
 * Pools token vectors into text vectors, without padding. Differentiable.
 * // hidden [batch, sequence, hidden], lengths [batch] int32 → [batch, hidden]
 */
export function pool(hidden: Tensor, lengths: Tensor, { pooling, normalize }: PoolingOptions): Tensor {
  return hidden.graph.scope('pooling', () => {
    const text = textVectors(hidden, lengths, pooling);
    return normalize ? l2Normalize(text) : text;
  });
}

function textVectors(hidden: Tensor, lengths: Tensor, pooling: Pooling): Tensor {
  if (pooling === 'cls') return pick(hidden, 1, 0);
  const { graph } = hidden;
  const [batch, sequence, size] = hidden.shape;
  const length = unsqueeze(lengths, 1);
  const real = less(unsqueeze(range(graph, sequence!), 0), length); // [batch, sequence]
  if (pooling === 'max') {
    const lowest = graph.constant(Float32Array.of(-3.4e38), []);
    return reduceMax(where(unsqueeze(real, 2), hidden, lowest), 1);
  }
  const count = cast(length, 'float32');
  const share = divide(cast(real, 'float32'), pooling === 'mean' ? count : squareRoot(count));
  return reshape(matmul(unsqueeze(share, 1), hidden), [batch!, size!]);
}
