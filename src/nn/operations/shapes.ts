import { type Dimension, describeShape, describeTensor, type Graph, type Shape, type Tensor } from '../graph.ts';

/**
 * Returns the shape of a broadcast result: sizes are aligned at the right, and 1 is stretched.
 * @throws ModelError if they do not broadcast
 */
export function broadcast(operator: string, a: Tensor, b: Tensor): Shape {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [left, right] = [sizeAt(a.shape, axis, rank), sizeAt(b.shape, axis, rank)];
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw a.graph.fault(operator, `shapes of ${describeTensor(a)} and ${describeTensor(b)} do not broadcast`);
  });
}

/**
 * Refuses operands that do not fit together, and names both with their scopes.
 * @param lack what is wrong with them, after their names
 * @throws ModelError
 */
export function requireFit(fits: boolean, operator: string, a: Tensor, b: Tensor, lack: string): void {
  if (!fits) throw a.graph.fault(operator, `${describeTensor(a)} and ${describeTensor(b)} ${lack}`);
}

/** Refuses an axis that a tensor lacks. @throws ModelError */
export function requireAxes(operator: string, x: Tensor, axes: readonly number[]): void {
  const wrong = axes.find((axis) => !Number.isInteger(axis) || axis < 0 || axis >= x.shape.length);
  if (wrong !== undefined) throw x.graph.fault(operator, `${describeTensor(x)} has no axis ${wrong}`);
}

/** Returns whether two shapes are equal; named sizes are compared by name. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** Returns the size of an axis after aligning the shape at the right with `rank` axes. */
export function sizeAt(shape: Shape, axis: number, rank: number): Dimension {
  return shape[axis - rank + shape.length] ?? 1;
}

/** Returns a shape as a value // [rank], int64 */
export function sizesOf(graph: Graph, shape: Shape): Tensor {
  if (shape.every((size) => typeof size === 'number')) {
    return graph.constant(BigInt64Array.from(shape, BigInt), [shape.length]);
  }
  return graph.once(`sizes ${describeShape(shape)}`, () =>
    joined(
      graph,
      shape.map((size) => graph.size(size)),
    ),
  );
}

/** Concatenates vectors of integers. */
export function joined(graph: Graph, parts: readonly Tensor[]): Tensor {
  const length = parts.reduce((sum, { shape }) => sum + Number(shape[0]), 0);
  const outputs = [{ dtype: 'int64' as const, shape: [length] }];
  return graph.node({ operator: 'Concat', inputs: parts, outputs, attributes: { axis: 0 } })[0]!;
}

/** Returns the second input of Reshape: 0 keeps the size at that place, and -1 (at most once) is inferred. */
export function reshapeTarget(x: Tensor, shape: Shape): Tensor {
  const { graph } = x;
  const [held, wanted] = [countOf(x.shape), countOf(shape)];
  if (held !== undefined && wanted !== undefined && held !== wanted) {
    throw graph.fault('Reshape', `${describeTensor(x)} does not fill ${describeShape(shape)}`);
  }
  const fresh = shape.filter((size, axis) => typeof size === 'string' && x.shape[axis] !== size);
  const target = (sizes: readonly bigint[]) => graph.constant(BigInt64Array.from(sizes), [sizes.length]);
  const size = (one: Dimension, axis: number) =>
    typeof one === 'number' ? BigInt(one) : x.shape[axis] === one ? 0n : -1n;
  if (fresh.length <= 1) return target(shape.map(size));
  const inferred = fresh.filter((name) => !graph.inputs.some((input) => input.shape.includes(name)));
  if (inferred.length > 1) {
    throw graph.fault('Reshape', `${describeTensor(x)} to ${describeShape(shape)}: more than one unknown size`);
  }
  const parts = shape.map((one) => (inferred.includes(one) ? target([-1n]) : graph.size(one)));
  return joined(graph, parts);
}

/** Returns how many numbers a shape holds; undefined if a size is a name. */
function countOf(shape: Shape): number | undefined {
  if (!shape.every((size) => typeof size === 'number')) return undefined;
  return shape.reduce<number>((product, size) => product * Number(size), 1);
}
