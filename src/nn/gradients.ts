import { describeShape, type Graph, type GraphNode, type Tensor } from './graph.ts';
import { add } from './operations/arithmetic.ts';

/** A tensor, and the gradient of the loss with respect to it, of the same shape. */
export interface Seed {
  tensor: Tensor;
  gradient: Tensor;
}

/**
 * Reverse-mode differentiation (Baydin et al. 2018, section 3.2): adds to the graph the operations that compute the
 * gradient of the loss with respect to each of `parameters`. The loss is defined by its gradient with respect to some
 * tensors; for a loss in the graph, that gradient is 1.
 *
 * The nodes are in topological order, so one backward pass reaches every result before its inputs. It builds only the
 * gradients that lead to a parameter.
 *
 * @returns one tensor per parameter, of the same shape
 * @throws ModelError if an operation on the way has no gradient, or no path leads from a seed to a parameter
 */
export function gradients(seeds: readonly [Seed, ...Seed[]], parameters: readonly Tensor[]): Tensor[] {
  const { graph } = seeds[0].tensor;
  const reachable = reachedFrom(parameters, graph.nodes);
  const found = new Map<string, Tensor>();
  for (const { tensor, gradient } of seeds) contribute(found, tensor, gradient);
  graph.scope('backward', () => {
    for (const node of graph.nodes.slice().reverse()) {
      const result = node.outputs[0]!;
      const upstream = found.get(result.name);
      if (upstream === undefined || !reachable.has(result.name)) continue;
      graph.scope(node.name, () => passOn(graph, node, upstream, reachable, found));
    }
  });
  return parameters.map((parameter) => {
    const gradient = found.get(parameter.name);
    if (gradient !== undefined) return gradient;
    throw graph.fault('gradient', `no seed depends on ${parameter.name}`);
  });
}

/** Returns the names of all tensors that depend on a parameter and can pass on a gradient, which only floats can. */
function reachedFrom(parameters: readonly Tensor[], nodes: readonly GraphNode[]): Set<string> {
  const reachable = new Set(parameters.map(({ name }) => name));
  for (const { inputs, outputs } of nodes) {
    if (!inputs.some((input) => input !== undefined && reachable.has(input.name))) continue;
    for (const { name, dtype } of outputs) if (dtype === 'float32') reachable.add(name);
  }
  return reachable;
}

function passOn(
  graph: Graph,
  node: GraphNode,
  upstream: Tensor,
  reachable: ReadonlySet<string>,
  found: Map<string, Tensor>,
): void {
  const rules = node.gradient?.(upstream);
  node.inputs.forEach((input, index) => {
    if (input === undefined || !reachable.has(input.name)) return;
    if (rules === undefined) throw graph.fault(node.operator, `${node.name} has no gradient`);
    const rule = rules[index];
    if (rule !== undefined) contribute(found, input, rule());
  });
}

/** Adds a gradient to those from other uses of the tensor. */
function contribute(found: Map<string, Tensor>, tensor: Tensor, gradient: Tensor): void {
  if (describeShape(gradient.shape) !== describeShape(tensor.shape)) {
    const reason = `${describeShape(gradient.shape)} is not the shape of ${tensor.name} ${describeShape(tensor.shape)}`;
    throw tensor.graph.fault('gradient', reason);
  }
  const known = found.get(tensor.name);
  found.set(tensor.name, known === undefined ? gradient : add(known, gradient));
}
