import { gradients } from './gradients.ts';
import { Graph, type Tensor } from './graph.ts';
import { scalar } from './operations/index.ts';
import type { ParameterPlan, WeightPlan } from './weight-plan.ts';

/**
 * A model as a chain of blocks, each a function of the previous one: embeddings, then layer after layer. A block adds
 * its operations to the graph of the given plan. It gets everything except the hidden states from named inputs of the
 * graph (`graph.input`), so it works in its own graph as well as in one for the whole model.
 */
export interface BlockModel {
  blocks: readonly Block[];
  /** Plans the weights of a graph; `training` turns dropout on. */
  plan(graph: Graph, training: boolean): WeightPlan;
}

export interface Block {
  /** The scope of the block's operations ("layer.3"). */
  name: string;
  /** @param x the hidden states of the previous block; undefined for the first */
  build(weights: WeightPlan, x: Tensor | undefined): Tensor;
}

/** Computes a loss from the last hidden states, and other outputs that a trainer needs. */
export type Head = (weights: WeightPlan, x: Tensor) => { loss: Tensor; outputs: Record<string, Tensor> };

/** The graphs of a step, and everything needed to compile and feed them. */
export interface StepGraphs {
  graphs: Record<string, Graph>;
  loaders: WeightPlan['loaders'];
  parameters: Map<string, ParameterPlan>;
}

/** The prefix of the names of gradients among the results. */
export const GRADIENT = 'gradient/';
export const LOSS = 'loss';
const ONE = 1;

/** Builds a graph of loss and outputs only; `training` says whether dropout is on. No intermediate result outlives its last use. */
export function evaluationGraph(model: BlockModel, head: Head, training = false): StepGraphs {
  const graph = new Graph();
  const weights = model.plan(graph, training);
  finish(graph, head(weights, chain(model.blocks, weights)));
  return { graphs: { evaluate: graph }, loaders: weights.loaders, parameters: weights.parameters };
}

/** Builds one graph of loss, outputs and all gradients: the fastest way, with every activation in memory at once. */
export function wholeGraph(model: BlockModel, head: Head): StepGraphs {
  const graph = new Graph();
  const weights = model.plan(graph, true);
  const results = head(weights, chain(model.blocks, weights));
  finish(graph, results);
  differentiate(graph, weights, results.loss, scalar(results.loss, ONE), []);
  return { graphs: { train: graph }, loaders: weights.loaders, parameters: weights.parameters };
}

/**
 * Builds the same in parts (Chen et al. 2016). `forward` keeps only the input of each block. `head` computes loss and
 * outputs, and differentiates back to the end of the last block. Then `backward k` recomputes block k and
 * differentiates through it. Memory holds the hidden states between blocks and the activations of one block.
 */
export function blockGraphs(model: BlockModel, head: Head): StepGraphs {
  const forward = new Graph();
  const weights = model.plan(forward, true);
  const between: Tensor[] = [];
  chain(model.blocks, weights, between);
  between.forEach((x, index) => {
    forward.output(`hidden ${index + 1}`, x);
  });
  const parts: StepGraphs = {
    graphs: { forward },
    loaders: new Map(weights.loaders),
    parameters: new Map(weights.parameters),
  };
  addHead(model, head, between.at(-1)!, weights.parameters.size > 0, parts);
  addBackward(model, between, parts);
  return parts;
}

function addHead(model: BlockModel, head: Head, { shape }: Tensor, goesOn: boolean, parts: StepGraphs): void {
  const graph = new Graph();
  const weights = model.plan(graph, true);
  const x = graph.input('hidden', 'float32', shape);
  const results = head(weights, x);
  finish(graph, results);
  differentiate(graph, weights, results.loss, scalar(results.loss, ONE), goesOn ? [['upstream', x]] : []);
  parts.graphs.head = graph;
  for (const [name, loader] of weights.loaders) parts.loaders.set(name, loader);
  for (const [name, parameter] of weights.parameters) parts.parameters.set(name, parameter);
}

/** Adds the backward graphs. Blocks before the first one with a parameter need none. */
function addBackward(model: BlockModel, between: readonly Tensor[], parts: StepGraphs): void {
  let learnsBefore = false;
  model.blocks.forEach((block, index) => {
    const graph = new Graph();
    const weights = model.plan(graph, true);
    const shape = between[index - 1]?.shape;
    const x = shape && graph.input('hidden', 'float32', shape);
    const y = graph.scope(block.name, () => block.build(weights, x));
    if (weights.parameters.size === 0 && !learnsBefore) return;
    const wanted: [string, Tensor][] = learnsBefore ? [['downstream', x!]] : [];
    differentiate(graph, weights, y, graph.input('upstream', 'float32', y.shape), wanted);
    learnsBefore = true;
    parts.graphs[`backward ${index}`] = graph;
  });
}

/**
 * Builds the blocks one after the other.
 * @param between receives the result of each block
 * @returns the result of the last block
 */
export function chain(blocks: readonly Block[], weights: WeightPlan, between: Tensor[] = []): Tensor {
  let x: Tensor | undefined;
  for (const block of blocks) {
    x = weights.graph.scope(block.name, () => block.build(weights, x));
    between.push(x);
  }
  return x!;
}

function finish(graph: Graph, { loss, outputs }: ReturnType<Head>): void {
  graph.output(LOSS, loss);
  for (const [name, tensor] of Object.entries(outputs)) graph.output(name, tensor);
}

/** Adds the gradients of the parameters, and of the `wanted` tensors under their names, as results of the graph. */
function differentiate(
  graph: Graph,
  weights: WeightPlan,
  tensor: Tensor,
  gradient: Tensor,
  wanted: readonly (readonly [string, Tensor])[],
): void {
  const ofParameters = [...weights.parameters].map(([name, { shape }]) => {
    return [`${GRADIENT}${name}`, graph.input(name, 'float32', shape)] as const;
  });
  const all = [...ofParameters, ...wanted];
  if (all.length === 0) return;
  const found = gradients(
    [{ tensor, gradient }],
    all.map(([, one]) => one),
  );
  all.forEach(([name], index) => {
    graph.output(name, found[index]!);
  });
  graph.fillsResults = graph.outputs.every(({ dtype }) => dtype === 'float32');
}
