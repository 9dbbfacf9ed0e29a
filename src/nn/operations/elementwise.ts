import { type Dtype, describeShape, type Shape, type Tensor } from '../graph.ts';

/** a + b, broadcast. */
export const add = (a: Tensor, b: Tensor): Tensor => binary('Add', a, b);

/** a - b, broadcast. */
export const subtract = (a: Tensor, b: Tensor): Tensor => binary('Sub', a, b);

/** a · b element by element, broadcast. */
export const multiply = (a: Tensor, b: Tensor): Tensor => binary('Mul', a, b);

/** a / b element by element, broadcast. */
export const divide = (a: Tensor, b: Tensor): Tensor => binary('Div', a, b);

/** The larger of a and b, broadcast. */
export const maximum = (a: Tensor, b: Tensor): Tensor => binary('Max', a, b);

/** a < b as bool, broadcast. */
export const less = (a: Tensor, b: Tensor): Tensor => binary('Less', a, b, 'bool');

/** √x */
export const squareRoot = (x: Tensor): Tensor => unary('Sqrt', x);

/** max(x, 0) */
export const relu = (x: Tensor): Tensor => unary('Relu', x);

/**
 * x · Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016). `tanh` is the approximation by tanh that
 * original BERT checkpoints name `gelu_new`.
 */
export function gelu(x: Tensor, approximate: 'none' | 'tanh' = 'none'): Tensor {
  return unary('Gelu', x, { approximate });
}

/** `condition ? a : b`, broadcast. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  const shape = broadcast('Where', a, condition, broadcast('Where', a, b));
  return a.graph.node({ operator: 'Where', inputs: [condition, a, b], outputs: [{ dtype: a.dtype, shape }] })[0]!;
}

/** The same numbers as another element type. */
export function cast(x: Tensor, dtype: 'float32' | 'int32' | 'int64'): Tensor {
  const to = { float32: 1, int32: 6, int64: 7 }[dtype];
  const outputs = [{ dtype, shape: x.shape }];
  return x.graph.node({ operator: 'Cast', inputs: [x], outputs, attributes: { to } })[0]!;
}

function unary(operator: string, x: Tensor, attributes: Record<string, string> = {}): Tensor {
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  return x.graph.node({ operator, inputs: [x], outputs, attributes })[0]!;
}

function binary(operator: string, a: Tensor, b: Tensor, dtype: Dtype = a.dtype): Tensor {
  if (a.dtype !== b.dtype) throw a.graph.fault(operator, `element types ${a.dtype} and ${b.dtype} differ`);
  return a.graph.node({ operator, inputs: [a, b], outputs: [{ dtype, shape: broadcast(operator, a, b) }] })[0]!;
}

/** The shape of a broadcast result: sizes are aligned at the right, and 1 stretches. @throws ModelError */
function broadcast(operator: string, a: Tensor, b: Tensor, shapeOfB: Shape = b.shape): Shape {
  const rank = Math.max(a.shape.length, shapeOfB.length);
  return Array.from({ length: rank }, (_, index) => {
    const left = a.shape[index - rank + a.shape.length] ?? 1;
    const right = shapeOfB[index - rank + shapeOfB.length] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw a.graph.fault(operator, `shapes ${describeShape(a.shape)} and ${describeShape(shapeOfB)} do not broadcast`);
  });
}
