import type { GradientRule, Tensor } from '../graph.ts';
import { multiply, subtract, unbroadcast } from './arithmetic.ts';
import { sumOfRows } from './linear.ts';
import { reduceMean } from './reduction.ts';
import { requireFit, sameShape } from './shapes.ts';

/** Scale, shift and epsilon of a layer normalisation // [hidden] */
export interface LayerNormParameters {
  scale: Tensor;
  shift: Tensor;
  epsilon: number;
}

/**
 * (x - mean) / √(variance + ε) · scale + shift along the last axis (Ba, Kiros and Hinton 2016).
 *
 * The runtime's SkipLayerNormalization, which adds a residual first, is four times slower on a CPU than Add followed by
 * this.
 */
export function layerNorm(x: Tensor, { scale, shift, epsilon }: LayerNormParameters): Tensor {
  requireWidth('LayerNormalization', x, scale);
  requireWidth('LayerNormalization', x, shift);
  const normal = () => multiply(subtract(x, mean), inverse);
  const gradient: GradientRule = (upstream) => [
    () => {
      const direction = normal();
      const flow = multiply(upstream, scale);
      const along = multiply(direction, meanOfLast(multiply(flow, direction)));
      return multiply(subtract(subtract(flow, meanOfLast(flow)), along), inverse);
    },
    () => sumOfRows(multiply(upstream, normal())),
    () => sumOfRows(upstream),
  ];
  const statistic = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
  const [result, mean, inverse]: [Tensor, Tensor, Tensor] = x.graph.node({
    operator: 'LayerNormalization',
    inputs: [x, scale, shift],
    outputs: [{ dtype: x.dtype, shape: x.shape }, statistic, statistic],
    attributes: { axis: -1, epsilon: { float: epsilon } },
    gradient,
  }) as [Tensor, Tensor, Tensor];
  return result;
}

/** x / √(mean of x² + ε) · scale along the last axis (Zhang and Sennrich 2019). */
export function rmsNorm(x: Tensor, scale: Tensor, epsilon: number): Tensor {
  requireWidth('SimplifiedLayerNormalization', x, scale);
  const gradient: GradientRule = (upstream) => [
    () => {
      const direction = multiply(x, inverse);
      const flow = multiply(upstream, scale);
      return multiply(subtract(flow, multiply(direction, meanOfLast(multiply(flow, direction)))), inverse);
    },
    () => unbroadcast(multiply(upstream, multiply(x, inverse)), scale),
  ];
  const [result, inverse]: [Tensor, Tensor] = x.graph.node({
    operator: 'SimplifiedLayerNormalization',
    inputs: [x, scale],
    outputs: [
      { dtype: x.dtype, shape: x.shape },
      { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] },
    ],
    attributes: { axis: -1, epsilon: { float: epsilon } },
    gradient,
  }) as [Tensor, Tensor];
  return result;
}

function requireWidth(operator: string, x: Tensor, vector: Tensor): void {
  requireFit(sameShape(x.shape.slice(-1), vector.shape), operator, x, vector, 'differ in the last axis');
}

function meanOfLast(x: Tensor): Tensor {
  return reduceMean(x, x.shape.length - 1, true);
}
