import { gradients } from './gradients.ts';
import { Graph, type Tensor } from './graph.ts';
import { scalar } from './operations/index.ts';
import type { ParameterPlan, WeightPlan } from './weight-plan.ts';

/**
 * A model as a chain of blocks, each a function of the one before: embeddings, layer after layer. A block adds its
 * operations to the graph of the plan it is given; what it needs beside the hidden states it takes as inputs of the
 * graph by their names (`graph.input`), so that it can stand in a graph of its own as well as in a whole one.
 */
export interface BlockModel {
  blocks: readonly Block[];
  /** Plans the weights of a graph; `training` says whether dropout is on. */
  plan(graph: Graph, training: boolean): WeightPlan;
}

export interface Block {
  /** Scope of the block's operations ("layer.3"). */
  name: string;
  /** @param x hidden states from the block before; none for the first */
  build(weights: WeightPlan, x: Tensor | undefined): Tensor;
}

/** What is done with the last hidden states: a loss, and what else a trainer wants to see of them. */
export type Head = (weights: WeightPlan, x: Tensor) => { loss: Tensor; outputs: Record<string, Tensor> };

/** Graphs of a step, and all that they need to be compiled and fed. */
export interface StepGraphs {
  graphs: Record<string, Graph>;
  loaders: WeightPlan['loaders'];
  parameters: Map<string, ParameterPlan>;
}

/** What the results are called that are gradients. */
export const GRADIENT = 'gradient/';
export const LOSS = 'loss';
const ONE = 1;

/** Loss and outputs alone, dropout off; no intermediate result outlives its last use. */
export function evaluationGraph(model: BlockModel, head: Head): StepGraphs {
  const graph = new Graph();
  const weights = model.plan(graph, false);
  finish(graph, head(weights, chain(model.blocks, weights)));
  return { graphs: { evaluate: graph }, loaders: weights.loaders, parameters: weights.parameters };
}

/** Loss, outputs and all gradients in one graph: the fastest, with every activation in memory at once. */
export function wholeGraph(model: BlockModel, head: Head): StepGraphs {
  const graph = new Graph();
  const weights = model.plan(graph, true);
  const results = head(weights, chain(model.blocks, weights));
  finish(graph, results);
  differentiate(graph, weights, results.loss, scalar(results.loss, ONE), []);
  return { graphs: { train: graph }, loaders: weights.loaders, parameters: weights.parameters };
}

/**
 * The same in parts (Chen et al. 2016): `forward` keeps only what enters each block, `head` computes loss and outputs and
 * goes back to the last block's end; then `backward k` computes block k again and goes back through it. In memory are
 * the hidden states between blocks, and the activations of one block.
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

/** Blocks before the first with a parameter have nothing to go back for. */
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

/** Builds the blocks one after the other. @param between receives what each gives @returns what the last gives */
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

/** Adds the gradients of the parameters, and of `wanted` tensors under their names, as results of the graph. */
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
}
