import { compileModel } from './compiled-model.ts';
import { gradients } from './gradients.ts';
import { type Dtype, Graph, type Shape, type Tensor } from './graph.ts';
import { ModelInThread } from './model-in-thread.ts';
import { reshape } from './operations/index.ts';
import type { Value, Values } from './runtime-messages.ts';

/** An input of a checked function. */
export interface CheckedInput {
  dtype: Exclude<Dtype, 'bool'>;
  shape: Shape;
  /** Whether no gradient is computed for this input. */
  frozen?: boolean;
}

/** The results of a checked function at one point. */
export interface CheckedResult {
  result: Value;
  /** The gradient of Σ result · seed with respect to each float32 input that is not frozen. */
  gradients: (Float32Array | undefined)[];
}

/** The difference between two gradients of one input. */
export interface Deviation {
  input: number;
  element: number;
  /** The gradient by the operations' rules. */
  derived: number;
  /** The gradient by finite differences. */
  measured: number;
  /** |derived - measured| / max(1, |measured|) */
  distance: number;
}

/** Smaller steps suffer from the rounding of 32-bit floats, larger ones from the function's curvature. */
const STEP = 5e-3;

/**
 * A function of tensors, compiled with its gradients, to compare with finite differences or another implementation. Use
 * it to check the gradient rule of a new operation.
 */
export class CheckedFunction {
  readonly #model: ModelInThread;
  readonly #inputs: readonly CheckedInput[];
  /** The shape of the result, by the operations' rules. */
  readonly shape: Shape;

  private constructor(model: ModelInThread, inputs: readonly CheckedInput[], shape: Shape) {
    this.#model = model;
    this.#inputs = inputs;
    this.shape = shape;
  }

  /**
   * @param build maps one tensor per input to the result, of type float32
   * @param cache the folder of the compiled graph
   * @throws ModelError if the graph cannot be built
   */
  static async compile(
    inputs: readonly CheckedInput[],
    build: (...tensors: Tensor[]) => Tensor,
    cache: string,
  ): Promise<CheckedFunction> {
    const graph = new Graph();
    const tensors = inputs.map(({ dtype, shape }, index) => graph.input(`input ${index}`, dtype, shape));
    const result = build(...tensors);
    const trained = tensors.filter(({ dtype }, index) => dtype === 'float32' && !inputs[index]!.frozen);
    const found = gradients([{ tensor: result, gradient: seedOf(result) }], trained);
    graph.output('result', result);
    trained.forEach(({ name }, index) => {
      graph.output(`gradient of ${name}`, found[index]!);
    });
    const { file } = await compileModel(graph, new Map(), { cache, fingerprint: 'none' });
    return new CheckedFunction(new ModelInThread(file), inputs, result.shape);
  }

  /** Runs the function. @param seed the weight of each number of the result // at least as many as the result has */
  async run(values: readonly Value[], seed: Float32Array): Promise<CheckedResult> {
    const feeds: Values = { seed: { dtype: 'float32', shape: [seed.length], data: seed.slice() } };
    for (const [index, { dtype, shape, data }] of values.entries()) {
      feeds[`input ${index}`] = { dtype, shape, data: data.slice() };
    }
    const results = await this.#model.run(feeds);
    const gradients = this.#inputs.map((_, index) => results[`gradient of input ${index}`]?.data as Float32Array);
    return { result: results.result!, gradients };
  }

  /** Compares the derived gradients with central differences, element by element; the largest deviation comes first. */
  async deviations(values: readonly Value[], seed: Float32Array): Promise<Deviation[]> {
    const { gradients } = await this.run(values, seed);
    const deviations: Deviation[] = [];
    for (const [input, gradient] of gradients.entries()) {
      for (const [element, derived] of gradient?.entries() ?? []) {
        const measured = await this.#difference(values, seed, input, element);
        const distance = Math.abs(derived - measured) / Math.max(1, Math.abs(measured));
        deviations.push({ input, element, derived, measured, distance });
      }
    }
    return deviations.sort((a, b) => (b.distance >= a.distance ? 1 : -1));
  }

  close(): Promise<void> {
    return this.#model.close();
  }

  /** Returns (f(x + h) - f(x - h)) / 2h along one element, with the h that remains after rounding x ± h. */
  async #difference(values: readonly Value[], seed: Float32Array, input: number, element: number): Promise<number> {
    const at = async (step: number) => {
      const moved = values.map((value, index) => (index === input ? { ...value, data: value.data.slice() } : value));
      const data = moved[input]!.data as Float32Array;
      data[element] = data[element]! + step;
      const { result } = await this.run(moved, seed);
      const worth = (result.data as Float32Array).reduce((sum, number, index) => sum + number * seed[index]!, 0);
      return { place: data[element]!, worth };
    };
    const [behind, ahead] = [await at(-STEP), await at(STEP)];
    return (ahead.worth - behind.worth) / (ahead.place - behind.place);
  }
}

/** Makes the initial gradient: as many numbers of an input as the result has, in the result's shape. */
function seedOf(result: Tensor): Tensor {
  const { graph, shape } = result;
  const seed = graph.input('seed', 'float32', ['numbers']);
  const whole = (operator: string, size: Shape) =>
    graph.node({ operator, inputs: [result], outputs: [{ dtype: 'int64', shape: size }] })[0]!;
  const from = graph.constant(BigInt64Array.of(0n), [1]);
  const used = graph.node({
    operator: 'Slice',
    inputs: [seed, from, reshape(whole('Size', []), [1])],
    outputs: [{ dtype: 'float32', shape: ['numbers of the result'] }],
  });
  const inputs = [used[0], whole('Shape', [shape.length])];
  return graph.node({ operator: 'Reshape', inputs, outputs: [{ dtype: 'float32', shape }] })[0]!;
}
