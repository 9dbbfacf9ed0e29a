import type { Checkpoint } from '../models/index.ts';
import { ModelError } from '../system/index.ts';
import { type Dtype, describeShape, type Graph, type Shape, type Tensor, type TensorData } from './graph.ts';
import { quantizeColumns, sideBySide, transposed } from './matrix.ts';
import type { QuantizedMatrix } from './operations/index.ts';

/** What the planner needs of a checkpoint. */
export type TensorSource = Pick<Checkpoint, 'path' | 'tensors' | 'read'>;

/**
 * What each weight of a graph is made of. Names and shapes are checked against the checkpoint while the graph is
 * built; the numbers are read later, one weight at a time, when the file of weights is written.
 */
export class WeightPlan {
  readonly loaders = new Map<string, () => Promise<TensorData>>();
  readonly #graph: Graph;
  readonly #source: TensorSource;
  readonly #prefix: string;
  readonly #shapes: Map<string, readonly number[]>;

  /** @param prefix stands before every name in the checkpoint ("bert.") */
  constructor(graph: Graph, source: TensorSource, prefix = '') {
    this.#graph = graph;
    this.#source = source;
    this.#prefix = prefix;
    this.#shapes = new Map(source.tensors().map(({ name, shape }) => [name, shape]));
  }

  /** Whether the checkpoint holds a tensor. */
  has(name: string): boolean {
    return this.#shapes.has(this.#prefix + name);
  }

  /** A tensor as it stands in the checkpoint. @throws ModelError where it is missing or of another shape */
  tensor(name: string, shape: readonly number[]): Tensor {
    this.#check(name, shape);
    return this.#weight(name, 'float32', shape, () => this.#read(name));
  }

  /** Vectors one after the other // n × [size] → [n · size] */
  joined(name: string, parts: readonly string[], size: number): Tensor {
    for (const part of parts) this.#check(part, [size]);
    return this.#weight(name, 'float32', [parts.length * size], async () =>
      sideBySide(await Promise.all(parts.map((part) => this.#read(part))), 1),
    );
  }

  /**
   * The matrices of linear layers, transposed and side by side // n × [out, in] → [in, n · out]
   * @throws ModelError where one is missing or of another shape
   */
  matrix(name: string, parts: readonly string[], input: number, output: number): Tensor {
    for (const part of parts) this.#check(part, [output, input]);
    const shape = [input, parts.length * output];
    return this.#weight(name, 'float32', shape, () => this.#transposed(parts, input, output));
  }

  /** {@link matrix} as signed bytes with a scale for each column. */
  quantizedMatrix(name: string, parts: readonly string[], input: number, output: number): QuantizedMatrix {
    for (const part of parts) this.#check(part, [output, input]);
    const columns = parts.length * output;
    const quantized = async () => quantizeColumns(await this.#transposed(parts, input, output), columns);
    return {
      values: this.#weight(`${name}.int8`, 'int8', [input, columns], async () => (await quantized()).values),
      scale: this.#weight(`${name}.scale`, 'float32', [columns], async () => (await quantized()).scale),
    };
  }

  async #transposed(parts: readonly string[], input: number, output: number): Promise<Float32Array> {
    const matrices: Float32Array[] = [];
    for (const part of parts) matrices.push(transposed(await this.#read(part), output, input));
    return sideBySide(matrices, input);
  }

  #read(name: string): Promise<Float32Array> {
    return this.#source.read(this.#prefix + name);
  }

  #weight(name: string, dtype: Dtype, shape: Shape, load: () => Promise<TensorData>): Tensor {
    this.loaders.set(name, load);
    return this.#graph.weight(name, dtype, shape);
  }

  #check(name: string, shape: readonly number[]): void {
    const found = this.#shapes.get(this.#prefix + name);
    if (found !== undefined && describeShape(found) === describeShape(shape)) return;
    const reason =
      found === undefined
        ? `the checkpoint lacks tensor ${this.#prefix}${name}`
        : `tensor ${this.#prefix}${name} has shape ${describeShape(found)}, but the configuration says ${describeShape(shape)}`;
    const mend = 'Check that config.json and the weights belong to one model, and fetch the model again.';
    throw new ModelError(reason, { file: this.#source.path, mend });
  }
}
