export { selfAttention } from './attention.ts';
export {
  add,
  cast,
  divide,
  gelu,
  less,
  maximum,
  multiply,
  relu,
  squareRoot,
  subtract,
  where,
} from './elementwise.ts';
export { gather, pick, positions, reshape, transpose, unsqueeze } from './layout.ts';
export { linear, matmul } from './linear.ts';
export { type LayerNormParameters, layerNorm } from './normalization.ts';
export { type QuantizedMatrix, quantizedLinear, quantizedSelfAttention } from './quantized.ts';
export { l2Normalize, norm, reduceMax, reduceMean, reduceSum, softmax } from './reduction.ts';
