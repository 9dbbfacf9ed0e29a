import type { GradientRule, Tensor } from '../graph.ts';
import { binary, divide, multiply, scalar, unary, unbroadcast } from './arithmetic.ts';
import { broadcast, requireFit } from './shapes.ts';

/** The larger of a and b, broadcast; if they are equal, the gradient goes to a. */
export function maximum(a: Tensor, b: Tensor): Tensor {
  return binary('Max', a, b, (upstream) => [
    () => unbroadcast(where(less(a, b), zero(upstream), upstream), a),
    () => unbroadcast(where(less(a, b), upstream, zero(upstream)), b),
  ]);
}

/** a < b as bool, broadcast. */
export const less = (a: Tensor, b: Tensor): Tensor => binary('Less', a, b, undefined, 'bool');

/** a ≤ b as bool, broadcast. */
export const lessOrEqual = (a: Tensor, b: Tensor): Tensor => binary('LessOrEqual', a, b, undefined, 'bool');

/** a = b as bool, broadcast. */
export const equal = (a: Tensor, b: Tensor): Tensor => binary('Equal', a, b, undefined, 'bool');

/** a and b, both bool, broadcast. */
export const both = (a: Tensor, b: Tensor): Tensor => binary('And', a, b);

/** a or b, both bool, broadcast. */
export const either = (a: Tensor, b: Tensor): Tensor => binary('Or', a, b);

/** eˣ */
export const exp = (x: Tensor): Tensor => unary('Exp', x, (upstream, y) => multiply(upstream, y));

/** Natural logarithm. */
export const log = (x: Tensor): Tensor => unary('Log', x, (upstream) => divide(upstream, x));

/** √x */
export const squareRoot = (x: Tensor): Tensor =>
  unary('Sqrt', x, (upstream, y) => divide(multiply(upstream, scalar(x, 0.5)), y));

/** cos x; no gradient, because the angles are fixed. */
export const cosine = (x: Tensor): Tensor => unary('Cos', x);

/** sin x; no gradient, because the angles are fixed. */
export const sine = (x: Tensor): Tensor => unary('Sin', x);

/** `condition ? a : b`, broadcast. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  requireFit(a.dtype === b.dtype, 'Where', a, b, `differ in element type, ${a.dtype} and ${b.dtype}`);
  requireFit(condition.dtype === 'bool', 'Where', condition, a, 'need a condition of type bool');
  const values = { ...a, shape: broadcast('Where', a, b) };
  const shape = broadcast('Where', values, condition);
  const gradient: GradientRule = (upstream) => [
    undefined,
    () => unbroadcast(where(condition, upstream, zero(upstream)), a),
    () => unbroadcast(where(condition, zero(upstream), upstream), b),
  ];
  const outputs = [{ dtype: a.dtype, shape }];
  return a.graph.node({ operator: 'Where', inputs: [condition, a, b], outputs, gradient })[0]!;
}

function zero(x: Tensor): Tensor {
  return scalar(x, 0);
}
