export { gelu, relu, sigmoid, silu, softplus, tanh } from './activation.ts';
export { add, cast, divide, expand, multiply, negate, reduceSum, reshape, scalar, subtract } from './arithmetic.ts';
export { attend, branchMask, paddingMask, selfAttention, textMask } from './attention.ts';
export { dropout } from './dropout.ts';
export { both, either, equal, exp, less, lessOrEqual, log, maximum, squareRoot, where } from './elementwise.ts';
export {
  type FrozenMatrix,
  frozenMatrix,
  frozenTensor,
  type MatrixShape,
  packMatrix,
  STORAGES,
  type Storage,
} from './frozen.ts';
export { concat, flattenRows, gather, pad, pick, range, scatterAdd, slice, transpose, unsqueeze } from './layout.ts';
export { affine, linear, type MatmulOptions, matmul } from './linear.ts';
export { type LayerNormParameters, layerNorm, rmsNorm } from './normalization.ts';
export { type QuantizedMatrix, quantizedLinear, quantizedSelfAttention, standardQuantizedLinear } from './quantized.ts';
export { cumulativeSum, l2Normalize, logSoftmax, norm, pickLast, reduceMax, reduceMean, softmax } from './reduction.ts';
export { type RotaryFrequencies, rotate } from './rotary.ts';
export { tokenLogProbabilities } from './token-log-probabilities.ts';
