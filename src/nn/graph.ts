import { ModelError } from '../system/index.ts';

/** Element types of tensors, by ONNX's numbers (onnx.proto, TensorProto.DataType). */
export const DTYPES = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, uint4: 21 } as const;
export type Dtype = keyof typeof DTYPES;

/** The size of one number in bytes. */
export const ITEM_BYTES: Readonly<Record<Dtype, number>> = {
  ...{ float32: 4, uint8: 1, int8: 1, int32: 4, int64: 8, bool: 1, float16: 2, uint4: 0.5 },
};

/** A known size, or the name of a size that each run may choose. Equal names mean equal sizes. */
export type Dimension = number | string;
export type Shape = readonly Dimension[];

/** A value of the graph: its name, element type and shape. It holds no numbers. */
export interface Tensor {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
}

export type Attribute = number | string | readonly number[] | { float: number } | { body: Graph };

/**
 * The gradient rule of an operation. Given the gradient of the loss with respect to its first result, it returns one
 * function per input, which builds the gradient with respect to that input. Functions are called only if needed; inputs
 * without a gradient (indices, masks) have none.
 */
export type GradientRule = (upstream: Tensor) => readonly ((() => Tensor) | undefined)[];

/** One operation of the graph. Operators are documented at onnx.ai (opset 21) and in the runtime's ContribOperators.md. */
export interface GraphNode {
  readonly name: string;
  readonly operator: string;
  /** Empty for standard ONNX operators. */
  readonly domain: '' | 'com.microsoft';
  /** `undefined` for an omitted optional input. */
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly Tensor[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** `undefined` if the operation cannot be differentiated. */
  readonly gradient: GradientRule | undefined;
}

/** float16 numbers are stored as bits in a Uint16Array. */
export type TensorData = Float32Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

/** What {@link Graph.node} needs to know about an operation. */
export interface NodeSpecification {
  operator: string;
  domain?: 'com.microsoft';
  inputs: readonly (Tensor | undefined)[];
  outputs: readonly { dtype: Dtype; shape: Shape }[];
  attributes?: Record<string, Attribute>;
  gradient?: GradientRule;
}

/**
 * A computation as a list of operations over symbolic tensors, in topological order. Names are scoped
 * (`layer.0/attention/MatMul`), so a runtime error names the operation that failed.
 */
export class Graph {
  readonly nodes: GraphNode[] = [];
  readonly inputs: Tensor[] = [];
  readonly outputs: Tensor[] = [];
  /** Trained values, kept outside the graph (see `compiled-model.ts`). */
  readonly weights = new Map<string, Tensor>();
  /** Small fixed values, written into the graph. */
  readonly constants = new Map<Tensor, TensorData>();
  /** Inputs that are drawn at random for each run, with the fraction of zeros. */
  readonly masks = new Map<string, number>();
  /** Whether a run may write the results into memory of the caller's (see `runtime-messages.ts`). */
  fillsResults = false;
  readonly #uses = new Map<string, number>();
  readonly #once = new Map<string, Tensor>();
  readonly #bound = new Map<string, Tensor>();
  readonly #prefix: string;
  #scope: string;

  /** @param prefix the prefix of every name in the graph */
  constructor(prefix = '') {
    this.#prefix = prefix;
    this.#scope = prefix;
  }

  /** Makes a graph that runs inside an operation of this one; its names begin with that operation's scope. */
  body(): Graph {
    return new Graph(`${this.#unique('body')}/`);
  }

  /** Replaces a named input with a tensor: operations built later use the tensor. */
  bind(name: string, tensor: Tensor): void {
    this.#bound.set(name, tensor);
  }

  /** Returns an input, a value that each run receives. Calls with the same name return the same tensor. */
  input(name: string, dtype: Dtype, shape: Shape): Tensor {
    const bound = this.#bound.get(name);
    if (bound !== undefined) return bound;
    const tensor = this.#tensor(this.#prefix + name, dtype, shape);
    const known = this.inputs.find((input) => input.name === tensor.name);
    if (known !== undefined) return known;
    this.inputs.push(tensor);
    return tensor;
  }

  /** Returns a trained value. Calls with the same name return the same tensor. */
  weight(name: string, dtype: Dtype, shape: Shape): Tensor {
    const known = this.weights.get(name);
    if (known !== undefined) return known;
    const tensor = { graph: this, name, dtype, shape };
    this.weights.set(name, tensor);
    return tensor;
  }

  /**
   * Returns an input that decides which numbers dropout keeps: 1 keeps, 0 drops.
   * @param rate the fraction that is dropped
   */
  mask(name: string, shape: Shape, rate: number): Tensor {
    this.masks.set(name, rate);
    return this.input(name, 'uint8', shape);
  }

  /** Adds a small fixed value. */
  constant(data: TensorData, shape: Shape): Tensor {
    const tensor = this.#tensor(this.#unique('constant'), dtypeOf(data), shape);
    this.constants.set(tensor, data);
    return tensor;
  }

  /** Adds an operation and returns its results. */
  node(specification: NodeSpecification): Tensor[] {
    const name = this.#unique(specification.operator);
    const { operator, domain = '', inputs, attributes = {}, gradient } = specification;
    const outputs = specification.outputs.map(({ dtype, shape }, index) =>
      this.#tensor(index === 0 ? name : `${name}:${index}`, dtype, shape),
    );
    this.nodes.push({ name, operator, domain, inputs, outputs, attributes, gradient });
    return outputs;
  }

  /** Makes a tensor a result of the graph, under its own name. */
  output(name: string, tensor: Tensor): void {
    const result = { ...tensor, name: this.#prefix + name };
    const [inputs, outputs] = [[tensor], [result]];
    const node = { name: result.name, operator: 'Identity', domain: '' as const, inputs, outputs, attributes: {} };
    this.nodes.push({ ...node, gradient: undefined });
    this.outputs.push(result);
  }

  /** Returns a tensor that layers share (a mask, an angle); builds it when the name is first used. */
  once(name: string, build: () => Tensor): Tensor {
    const known = this.#once.get(name);
    if (known !== undefined) return known;
    const outer = this.#scope;
    this.#scope = this.#prefix;
    try {
      const tensor = build();
      this.#once.set(name, tensor);
      return tensor;
    } finally {
      this.#scope = outer;
    }
  }

  /**
   * Returns a size as a value // [1], int64. A named size is read from the first input that has it; `a·b` is a product.
   * @throws ModelError if no input has it
   */
  size(dimension: Dimension): Tensor {
    if (typeof dimension === 'number') return this.constant(BigInt64Array.of(BigInt(dimension)), [1]);
    return this.once(`size of ${dimension}`, () => {
      const parts = dimension.split('·').map((part) => (Number.isNaN(Number(part)) ? part : Number(part)));
      if (parts.length > 1) return parts.map((part) => this.size(part)).reduce((a, b) => this.#product(a, b));
      const source = this.inputs.find(({ shape }) => shape.includes(dimension));
      if (source === undefined) throw this.fault('Shape', `no input has the size ${dimension}`);
      const start = source.shape.indexOf(dimension);
      return this.node({
        operator: 'Shape',
        inputs: [source],
        outputs: [{ dtype: 'int64', shape: [1] }],
        attributes: { start, end: start + 1 },
      })[0]!;
    });
  }

  #product(a: Tensor, b: Tensor): Tensor {
    return this.node({ operator: 'Mul', inputs: [a, b], outputs: [{ dtype: a.dtype, shape: a.shape }] })[0]!;
  }

  /** Runs `build` with names that begin with `scope/`. */
  scope<T>(scope: string, build: () => T): T {
    const outer = this.#scope;
    this.#scope = `${outer}${scope}/`;
    try {
      return build();
    } finally {
      this.#scope = outer;
    }
  }

  /** Returns the error for a fault in the construction of the graph; it names the operation. */
  fault(operation: string, reason: string): ModelError {
    return new ModelError(`operation ${this.#scope}${operation}: ${reason}`, {
      fix: 'Check that the configuration belongs to the checkpoint.',
    });
  }

  #tensor(name: string, dtype: Dtype, shape: Shape): Tensor {
    return { graph: this, name, dtype, shape };
  }

  #unique(operation: string): string {
    const name = `${this.#scope}${operation}`;
    const uses = this.#uses.get(name) ?? 0;
    this.#uses.set(name, uses + 1);
    return uses === 0 ? name : `${name}.${uses}`;
  }
}

/** Returns the element type of a typed array. */
export function dtypeOf(data: TensorData): Dtype {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Int32Array) return 'int32';
  if (data instanceof BigInt64Array) return 'int64';
  if (data instanceof Uint16Array) return 'float16';
  return data instanceof Int8Array ? 'int8' : 'uint8';
}

/** Formats a shape for an error message: `[batch, 16]`. */
export function describeShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Formats an operand for an error message, with its scope and shape: `layer.0/attention/MatMul [batch, 16]`. */
export function describeTensor({ name, shape }: Tensor): string {
  return `${name} ${describeShape(shape)}`;
}
