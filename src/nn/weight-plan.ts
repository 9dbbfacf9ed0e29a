import type { Checkpoint } from '../models/index.ts';
import { deriveSeed, ModelError, Random } from '../system/index.ts';
import { type Dtype, describeShape, type Graph, type Shape, type Tensor, type TensorData } from './graph.ts';
import { quantizeColumns, sideBySide, transposed } from './matrix.ts';
import {
  add,
  affine,
  dropout,
  type FrozenMatrix,
  frozenMatrix,
  matmul,
  packMatrix,
  type QuantizedMatrix,
  type Storage,
} from './operations/index.ts';

/** The part of a checkpoint that the plan needs. */
export type TensorSource = Pick<Checkpoint, 'path' | 'tensors' | 'read'>;

/** A trainable tensor of a graph, and the source of its initial values. */
export interface ParameterPlan {
  shape: readonly number[];
  load(): Promise<Float32Array>;
}

/** The low-rank addition to a linear layer (Hu et al. 2021): scale · B · A. */
export interface LowRank {
  rank: number;
  /** alpha / rank, or alpha / √rank. */
  scale: number;
  /** The dropout rate of A's inputs during training. */
  dropout: number;
}

export interface PlanOptions {
  /** The prefix of every name in the checkpoint ("bert."). */
  prefix?: string;
  /** Whether a tensor of the checkpoint is trained; the others are frozen. */
  trains?: (name: string) => boolean;
  /** The low-rank addition of a module, by its name; undefined if it has none. */
  adapter?: (module: string) => LowRank | undefined;
  /** The storage of matrices that are not trained. Default `f32`. */
  storage?: Storage;
  /** Whether dropout is on and gradients are needed. */
  training?: boolean;
  /** The seed of all random initial values. */
  seed?: number;
}

type Packed = ReturnType<typeof packMatrix>;

/**
 * Plans the source of each weight of a graph. Names and shapes are checked against the checkpoint while the graph is
 * built. The numbers are read later, one weight at a time, when the file of weights is written. Trained tensors become
 * inputs of the graph instead, and each run receives their values.
 */
export class WeightPlan {
  readonly graph: Graph;
  readonly loaders = new Map<string, () => Promise<TensorData>>();
  readonly parameters = new Map<string, ParameterPlan>();
  readonly training: boolean;
  readonly #source: TensorSource;
  #packed: { name: string; parts: Promise<Packed> } | undefined;
  readonly #options: PlanOptions;
  readonly #prefix: string;
  readonly #shapes: Map<string, readonly number[]>;

  constructor(graph: Graph, source: TensorSource, options: PlanOptions = {}) {
    this.graph = graph;
    this.training = options.training ?? false;
    this.#source = source;
    this.#options = options;
    this.#prefix = options.prefix ?? '';
    this.#shapes = new Map(source.tensors().map(({ name, shape }) => [name, shape]));
  }

  /** Whether the checkpoint holds a tensor. */
  has(name: string): boolean {
    return this.#shapes.has(this.#prefix + name);
  }

  /** Whether a tensor is trained. */
  trains(name: string): boolean {
    return this.#options.trains?.(name) ?? false;
  }

  /** Returns a tensor of the checkpoint. @throws ModelError if it is missing or misshaped */
  tensor(name: string, shape: readonly number[]): Tensor {
    this.#check(name, shape);
    const load = () => this.#read(name);
    if (this.trains(name)) return this.#parameter(this.#prefix + name, shape, load);
    return this.#weight(name, 'float32', shape, load);
  }

  /** Returns a frozen matrix in the plan's storage. @throws ModelError if it is missing or misshaped */
  frozen(name: string, shape: readonly [number, number]): FrozenMatrix {
    this.#check(name, shape);
    const storage = this.#options.storage ?? 'f32';
    const packed = this.#lastPacked(name, async () => packMatrix(storage, await this.#read(name), shape));
    return frozenMatrix(storage, shape, (part, dtype, size) => {
      const full = storage === 'f32' ? name : `${name}.${storage}.${part}`;
      return this.#weight(full, dtype, size, async () => (await packed())[part]!);
    });
  }

  /** The parts of a matrix are written one after the other, so the last packed matrix is kept for the next part. */
  #lastPacked(name: string, pack: () => Promise<Packed>): () => Promise<Packed> {
    return () => {
      if (this.#packed?.name !== name) this.#packed = { name, parts: pack() };
      return this.#packed.parts;
    };
  }

  /**
   * Applies a linear layer in Transformers' layout, with its low-rank addition // x [..., in], weight [out, in] → [...,
   * out]
   * @throws ModelError if a tensor is missing or misshaped
   */
  linear(x: Tensor, module: string, [output, input]: readonly [number, number], bias: boolean): Tensor {
    const name = `${module}.weight`;
    const shift = bias ? this.tensor(`${module}.bias`, [output]) : undefined;
    const shifted = this.trains(name)
      ? this.#trainedLinear(x, this.tensor(name, [output, input]), shift)
      : this.#frozenLinear(x, this.frozen(name, [output, input]), shift);
    const adapter = this.#options.adapter?.(this.#prefix + module);
    return adapter === undefined ? shifted : add(shifted, this.#lowRank(x, module, [output, input], adapter));
  }

  #trainedLinear(x: Tensor, weight: Tensor, shift: Tensor | undefined): Tensor {
    return shift === undefined ? matmul(x, weight, { transposeB: true }) : affine(x, weight, shift);
  }

  #frozenLinear(x: Tensor, matrix: FrozenMatrix, shift: Tensor | undefined): Tensor {
    const product = matrix.linear(x);
    return shift === undefined ? product : add(product, shift);
  }

  /**
   * scale · (x · Aᵀ) · Bᵀ; A is initialised like PyTorch's linear layers, and B with 0, so the addition starts at 0.
   */
  #lowRank(x: Tensor, module: string, [output, input]: readonly [number, number], adapter: LowRank): Tensor {
    const { rank, scale, dropout: rate } = adapter;
    const name = `${this.#prefix}${module}`;
    const bound = 1 / Math.sqrt(input);
    const seed = deriveSeed(this.#options.seed ?? 0, name);
    const a = this.#parameter(`${name}.lora_A.weight`, [rank, input], async () => {
      const random = new Random(seed);
      return Float32Array.from({ length: rank * input }, () => (2 * random.uniform() - 1) * bound);
    });
    const b = this.#parameter(`${name}.lora_B.weight`, [output, rank], async () => new Float32Array(output * rank));
    const kept = () => this.graph.mask(`dropout/${name}`, x.shape, rate);
    const seen = this.training && rate > 0 ? dropout(x, kept(), rate) : x;
    return matmul(matmul(seen, a, { transposeB: true }), b, { transposeB: true, scale });
  }

  /** Concatenates vectors // n × [size] → [n · size] */
  joined(name: string, parts: readonly string[], size: number): Tensor {
    for (const part of parts) this.#check(part, [size]);
    return this.#weight(name, 'float32', [parts.length * size], async () =>
      sideBySide(await Promise.all(parts.map((part) => this.#read(part))), 1),
    );
  }

  /**
   * Returns the matrices of linear layers, transposed and side by side // n × [out, in] → [in, n · out]
   * @throws ModelError if one is missing or misshaped
   */
  matrix(name: string, parts: readonly string[], input: number, output: number): Tensor {
    for (const part of parts) this.#check(part, [output, input]);
    const shape = [input, parts.length * output];
    return this.#weight(`${name}.transposed`, 'float32', shape, () => this.#transposed(parts, input, output));
  }

  /** Does the same as {@link matrix}, in signed bytes with a scale per column. */
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

  #parameter(name: string, shape: readonly number[], load: () => Promise<Float32Array>): Tensor {
    this.parameters.set(name, { shape, load });
    return this.graph.input(name, 'float32', shape);
  }

  #weight(name: string, dtype: Dtype, shape: Shape, load: () => Promise<TensorData>): Tensor {
    this.loaders.set(name, load);
    return this.graph.weight(name, dtype, shape);
  }

  #check(name: string, shape: readonly number[]): void {
    const found = this.#shapes.get(this.#prefix + name);
    if (found !== undefined && describeShape(found) === describeShape(shape)) return;
    const reason =
      found === undefined
        ? `the checkpoint lacks tensor ${this.#prefix}${name}`
        : `tensor ${this.#prefix}${name} has shape ${describeShape(found)}, but the configuration says ${describeShape(shape)}`;
    const fix = 'Check that config.json and the weights belong to the same model, or download the model again.';
    throw new ModelError(reason, { file: this.#source.path, fix });
  }
}
