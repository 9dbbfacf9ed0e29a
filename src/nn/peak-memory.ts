import { type Dimension, type Dtype, type Graph, ITEM_BYTES, type Tensor } from './graph.ts';

/** Operations that only view the same memory in another shape. */
const VIEWS = new Set(['Reshape', 'Unsqueeze', 'Identity']);

/**
 * Estimates the peak size in bytes of a graph's intermediate results, for the given sizes: in one pass over the
 * operations in order, a result lives from its operation to its last use. Weights, inputs and constants are not
 * counted. The runtime comes close: it may overwrite an input with a result (less), and its allocator rounds up (more).
 *
 * @param sizes the sizes of the named dimensions
 */
export function peakBytes(graph: Graph, sizes: Readonly<Record<string, number>>): number {
  const root = new Map<string, string>();
  const rootOf = (tensor: Tensor) => root.get(tensor.name) ?? tensor.name;
  const lastUse = new Map<string, number>();
  graph.nodes.forEach(({ operator, inputs, outputs }, index) => {
    if (VIEWS.has(operator)) root.set(outputs[0]!.name, rootOf(inputs[0]!));
    for (const input of inputs) if (input !== undefined) lastUse.set(rootOf(input), index);
  });
  for (const output of graph.outputs) lastUse.set(rootOf(output), Number.POSITIVE_INFINITY);
  const living = new Map<string, number>();
  let [now, peak] = [0, 0];
  graph.nodes.forEach(({ operator, inputs, outputs }, index) => {
    for (const output of VIEWS.has(operator) ? [] : outputs) {
      const bytes = bytesOf(output, sizes);
      living.set(output.name, bytes);
      now += bytes;
    }
    peak = Math.max(peak, now);
    for (const tensor of [...inputs, ...outputs]) {
      if (tensor === undefined || (lastUse.get(rootOf(tensor)) ?? index) > index) continue;
      now -= living.get(rootOf(tensor)) ?? 0;
      living.delete(rootOf(tensor));
    }
  });
  return peak;
}

/** Returns the size of a tensor in bytes. */
export function bytesOf(
  { dtype, shape }: Pick<Tensor, 'shape'> & { dtype: Dtype },
  sizes: Readonly<Record<string, number>>,
): number {
  return shape.reduce<number>((product, dimension) => product * sizeOf(dimension, sizes), ITEM_BYTES[dtype]);
}

/** Returns the value of a dimension; `a·b` is a product. */
export function sizeOf(dimension: Dimension, sizes: Readonly<Record<string, number>>): number {
  if (typeof dimension === 'number') return dimension;
  return dimension.split('·').reduce((product, part) => product * (sizes[part] ?? Number(part)), 1);
}
