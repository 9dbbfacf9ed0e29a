import type { Tensor } from '../graph.ts';
import { add, multiply, scalar, subtract, unary } from './arithmetic.ts';
import { exp, less, where } from './elementwise.ts';

/** max(x, 0) */
export const relu = (x: Tensor): Tensor =>
  unary('Relu', x, (upstream, y) => where(less(scalar(x, 0), y), upstream, scalar(x, 0)));

/** tanh x */
export const tanh = (x: Tensor): Tensor =>
  unary('Tanh', x, (upstream, y) => multiply(upstream, subtract(scalar(x, 1), multiply(y, y))));

/** 1 / (1 + e⁻ˣ) */
export const sigmoid = (x: Tensor): Tensor =>
  unary('Sigmoid', x, (upstream, y) => multiply(upstream, multiply(y, subtract(scalar(x, 1), y))));

/** ln(1 + eˣ) without overflow; -softplus(-x) is the logarithm of {@link sigmoid}. */
export const softplus = (x: Tensor): Tensor => unary('Softplus', x, (upstream) => multiply(upstream, sigmoid(x)));

/**
 * x · sigmoid(x) =: y, also called swish (Hendrycks and Gimpel 2016). With s = sigmoid(x), its derivative is
 * y + s · (1 - y).
 */
export const silu = (x: Tensor): Tensor =>
  unary(
    'QuickGelu',
    x,
    (upstream, y) => multiply(upstream, add(y, multiply(sigmoid(x), subtract(scalar(x, 1), y)))),
    { alpha: { float: 1 } },
    'com.microsoft',
  );

/**
 * x · Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016). `tanh` is the tanh approximation that
 * original BERT checkpoints call `gelu_new`.
 */
export function gelu(x: Tensor, approximate: 'none' | 'tanh' = 'none'): Tensor {
  const slope = approximate === 'none' ? geluSlope : tanhGeluSlope;
  return unary('Gelu', x, (upstream) => multiply(upstream, slope(x)), { approximate });
}

/**
 * Φ(x) + x · φ(x), in few passes over memory. With u = x / √2, the terms are (erf u + 1)/2 and u · exp(ln(1/√π) - u²).
 * A hard sigmoid computes the first in one pass, because it never reaches its bounds.
 */
function geluSlope(x: Tensor): Tensor {
  const u = multiply(x, scalar(x, Math.SQRT1_2));
  const half = { float: 0.5 };
  const distribution = unary('HardSigmoid', unary('Erf', u), undefined, { alpha: half, beta: half });
  const density = exp(subtract(scalar(x, -Math.log(Math.PI) / 2), multiply(u, u)));
  return add(distribution, multiply(u, density));
}

/** With u = √(2/π)·(x + 0.044715 x³) and t = tanh u: (1 + t)/2 + x/2 · (1 - t²) · u′ */
function tanhGeluSlope(x: Tensor): Tensor {
  const [half, one, root] = [0.5, 1, Math.sqrt(2 / Math.PI)].map((value) => scalar(x, value)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const square = multiply(x, x);
  const inner = multiply(multiply(x, root), add(one, multiply(square, scalar(x, 0.044715))));
  const t = unary('Tanh', inner);
  const innerSlope = multiply(root, add(one, multiply(square, scalar(x, 3 * 0.044715))));
  const bend = multiply(multiply(x, half), multiply(subtract(one, multiply(t, t)), innerSlope));
  return add(multiply(half, add(one, t)), bend);
}
