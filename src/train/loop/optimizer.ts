import {
  Graph,
  ModelInThread,
  operations,
  type Parameters,
  type Tensor,
  type Value,
  type Values,
} from '../../nn/index.ts';
import type { Gradients } from './gradients.ts';

export interface AdamWOptions {
  /** Decay rates of the running means of the gradient and of its square. */
  betas: readonly [number, number];
  /** Added to the denominator, which must not be 0. */
  epsilon: number;
  /** Decoupled: values shrink by learningRate · weightDecay per step, whatever their gradient. */
  weightDecay: number;
  /** Which parameters decay. Default {@link hasWeightDecay}. */
  decays?: ((name: string) => boolean) | undefined;
}

/** The running means of one parameter's gradient (`mean`) and of its square (`square`), value by value. */
export interface Moments {
  mean: Float32Array;
  square: Float32Array;
}

/** Parameters that Transformers' Trainer excludes from weight decay: biases and the scales of normalisations. */
const SPARED = /bias|layernorm|rmsnorm|(^|\.)norm($|\.)|_norm($|\.)/;

/** Whether a parameter of this name has weight decay under the rule of Transformers' Trainer. */
export function hasWeightDecay(name: string): boolean {
  return !SPARED.test(name.toLowerCase());
}

/**
 * AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2) over 32-bit floats, in PyTorch's order: decay,
 * means, then the step. The arithmetic is a graph, whose operations are vectorised.
 */
export class AdamW {
  readonly #parameters: Parameters;
  readonly #options: AdamWOptions;
  readonly #moments: Map<string, Moments>;
  /** Steps taken. */
  steps = 0;

  constructor(parameters: Parameters, options: AdamWOptions) {
    this.#parameters = parameters;
    this.#options = options;
    this.#moments = new Map(
      parameters.names().map((name) => {
        const size = parameters.size(name);
        return [name, { mean: new Float32Array(size), square: new Float32Array(size) }];
      }),
    );
  }

  /** The running means of a parameter, not copied: checkpoints read and fill them. */
  moments(name: string): Moments {
    return this.#moments.get(name)!;
  }

  /**
   * Takes one step and changes the parameters in place.
   * @param gradients one per parameter
   * @param scale factor for all gradients, from clipping
   */
  async step(
    gradients: Gradients,
    { learningRate, scale = 1 }: { learningRate: number; scale?: number },
  ): Promise<void> {
    this.steps++;
    const { betas, epsilon, weightDecay, decays = hasWeightDecay } = this.#options;
    const [beta1, beta2] = betas;
    const rootCorrection = Math.sqrt(1 - beta2 ** this.steps);
    const rule = {
      ...{ scale, share1: 1 - beta1, beta2, share2: 1 - beta2, epsilon: epsilon * rootCorrection },
      stepSize: (learningRate * rootCorrection) / (1 - beta1 ** this.steps),
    };
    for (const [name, moments] of this.#moments) {
      const keep = decays(name) ? 1 - learningRate * weightDecay : 1;
      const tables = { ...moments, value: this.#parameters.get(name), gradient: gradients.get(name)! };
      await update(tables, scalars({ ...rule, keep }));
    }
  }
}

/** What changes of a parameter in a step, and its gradient; all of one length. */
interface Tables extends Moments {
  value: Float32Array;
  gradient: Float32Array;
}

/** Updates a parameter part by part. A part and its intermediate results fit into the processor's cache. */
async function update(tables: Tables, rule: Values): Promise<void> {
  const { value, mean, square } = tables;
  model ??= ModelInThread.of(updateGraph(), 'AdamW');
  for (let start = 0; start < value.length; start += PART) {
    const end = Math.min(start + PART, value.length);
    const feeds = Object.entries(tables).map(([name, table]) => [name, numbers(table.subarray(start, end))]);
    const changed = changes(end - start);
    await model.run({ ...Object.fromEntries(feeds), ...rule }, changed);
    for (const [name, table] of Object.entries({ value, mean, square })) {
      table.set(changed[`new ${name}`]!.data as Float32Array, start);
    }
  }
}

/** The graph of a step, compiled once. */
let model: ModelInThread | undefined;

const PART = 1 << 16;

/** What a run changes: memory that each of them uses again. */
function changes(length: number): Values {
  const parts = Object.entries(PARTS).map(([name, memory]) => [`new ${name}`, numbers(memory.subarray(0, length))]);
  return Object.fromEntries(parts);
}

const PARTS = { mean: new Float32Array(PART), square: new Float32Array(PART), value: new Float32Array(PART) };

function numbers(data: Float32Array): Value {
  return { dtype: 'float32', shape: [data.length], data };
}

/**
 * The rule of one step. The correction of the square's root is in `epsilon` and `stepSize`, so that it takes no pass over the numbers.
 */
function updateGraph(): Graph {
  const graph = new Graph();
  const [gradient, mean, square, value] = ['gradient', 'mean', 'square', 'value'].map((name) =>
    graph.input(name, 'float32', ['numbers']),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const rule = (name: string) => graph.input(name, 'float32', []);
  const { add, divide, multiply, squareRoot, subtract } = operations;
  const slope = multiply(gradient, rule('scale'));
  const newMean = add(mean, multiply(subtract(slope, mean), rule('share1')));
  const newSquare = add(multiply(square, rule('beta2')), multiply(multiply(slope, slope), rule('share2')));
  const step = divide(multiply(newMean, rule('stepSize')), add(squareRoot(newSquare), rule('epsilon')));
  graph.output('new mean', newMean);
  graph.output('new square', newSquare);
  graph.output('new value', subtract(multiply(value, rule('keep')), step));
  graph.fillsResults = true;
  return graph;
}

function scalars(numbers: Readonly<Record<string, number>>): Values {
  const values = Object.entries(numbers).map(([name, number]): [string, Value] => {
    return [name, { dtype: 'float32', shape: [], data: Float32Array.of(number) }];
  });
  return Object.fromEntries(values);
}
