import { type Dimension, describeShape, type Tensor } from '../graph.ts';

/**
 * The same numbers under another shape. A named size may appear where the input has one of that name at the same
 * place; at most one other size may be named, and is inferred.
 */
export function reshape(x: Tensor, shape: readonly Dimension[]): Tensor {
  let inferred = 0;
  const sizes = shape.map((size, axis) => {
    if (typeof size === 'number') return BigInt(size);
    if (x.shape[axis] === size) return 0n;
    inferred++;
    return -1n;
  });
  if (inferred > 1) {
    throw x.graph.fault('Reshape', `${describeShape(x.shape)} to ${describeShape(shape)}: more than one unknown size`);
  }
  const target = x.graph.constant(BigInt64Array.from(sizes), [sizes.length]);
  return x.graph.node({ operator: 'Reshape', inputs: [x, target], outputs: [{ dtype: x.dtype, shape }] })[0]!;
}

/** Axes in another order: axis i of the result is axis `order[i]` of x. */
export function transpose(x: Tensor, order: readonly number[]): Tensor {
  const outputs = [{ dtype: x.dtype, shape: order.map((axis) => x.shape[axis]!) }];
  return x.graph.node({ operator: 'Transpose', inputs: [x], outputs, attributes: { perm: order } })[0]!;
}

/** Rows of a table: table // [rows, ...rest], indices // [...any] → [...any, ...rest]. */
export function gather(table: Tensor, indices: Tensor): Tensor {
  const outputs = [{ dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] }];
  return table.graph.node({ operator: 'Gather', inputs: [table, indices], outputs, attributes: { axis: 0 } })[0]!;
}

/** Entry `index` of one axis, which vanishes: [batch, sequence, hidden] at axis 1 → [batch, hidden]. */
export function pick(x: Tensor, axis: number, index: number): Tensor {
  const at = x.graph.constant(BigInt64Array.of(BigInt(index)), []);
  const outputs = [{ dtype: x.dtype, shape: x.shape.filter((_, other) => other !== axis) }];
  return x.graph.node({ operator: 'Gather', inputs: [x, at], outputs, attributes: { axis } })[0]!;
}

/** Adds an axis of size 1. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  const at = x.graph.constant(BigInt64Array.of(BigInt(axis)), [1]);
  const outputs = [{ dtype: x.dtype, shape: [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)] }];
  return x.graph.node({ operator: 'Unsqueeze', inputs: [x, at], outputs })[0]!;
}

/** 0, 1, ... up to the size of one axis of x // [that axis], int32 */
export function positions(x: Tensor, axis: number): Tensor {
  const { graph } = x;
  const size = graph.node({
    operator: 'Shape',
    inputs: [x],
    outputs: [{ dtype: 'int64', shape: [1] }],
    attributes: { start: axis, end: axis + 1 },
  })[0]!;
  const scalar = graph.constant(new BigInt64Array(0), [0]);
  const limit = graph.node({
    operator: 'Reshape',
    inputs: [size, scalar],
    outputs: [{ dtype: 'int64', shape: [] }],
  })[0]!;
  const [from, step] = [0n, 1n].map((bound) => graph.constant(BigInt64Array.of(bound), []));
  const outputs = [{ dtype: 'int64' as const, shape: [x.shape[axis]!] }];
  const range = graph.node({ operator: 'Range', inputs: [from, limit, step], outputs })[0]!;
  const to32 = { operator: 'Cast', inputs: [range], outputs: [{ dtype: 'int32' as const, shape: range.shape }] };
  return graph.node({ ...to32, attributes: { to: 6 } })[0]!;
}
