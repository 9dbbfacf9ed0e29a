import { UsageError } from '../system/index.ts';

/** A named tensor of trainable values. */
export interface Parameter {
  name: string;
  shape: readonly number[];
  /** Row-major. */
  data: Float32Array;
}

/**
 * The values that a trainer may change: an ordered map from names to tensors of 32-bit floats. The constructor fixes
 * the order, so norms and checkpoints are reproducible bit for bit.
 */
export class Parameters {
  readonly #entries = new Map<string, { shape: readonly number[]; data: Float32Array }>();

  /** @throws UsageError if a name appears twice or data does not fill its shape */
  constructor(parameters: Iterable<Parameter> = []) {
    for (const { name, shape, data } of parameters) {
      if (this.#entries.has(name)) fail('two parameters have this name', name, 'Give each parameter a unique name.');
      checkSize(name, shape, data);
      this.#entries.set(name, { shape: [...shape], data });
    }
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** @throws UsageError if the name is unknown */
  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  /**
   * Returns the values without a copy. Call it again after every run of a graph: the arrays are lent to the worker
   * thread and come back as new views.
   * @throws UsageError if the name is unknown
   */
  get(name: string): Float32Array {
    return this.#entry(name).data;
  }

  /** Replaces the array of a parameter, without a copy. @throws UsageError if it does not fill the shape */
  set(name: string, data: Float32Array): void {
    const entry = this.#entry(name);
    checkSize(name, entry.shape, data);
    entry.data = data;
  }

  /** Returns the number of values of one parameter. @throws UsageError if the name is unknown */
  size(name: string): number {
    return countOf(this.#entry(name).shape);
  }

  /** The number of values of all parameters. */
  get total(): number {
    return this.names().reduce((sum, name) => sum + this.size(name), 0);
  }

  #entry(name: string) {
    const entry = this.#entries.get(name);
    return entry ?? fail('there is no such parameter', name, `Known parameters: ${listed(this.names())}.`);
  }
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

function checkSize(name: string, shape: readonly number[], data: Float32Array): void {
  if (data.length !== countOf(shape)) {
    fail(`${data.length} values do not fill the shape [${shape}]`, name, 'Pass as many values as the shape holds.');
  }
}

const MAX_LISTED = 8;

function listed(names: readonly string[]): string {
  const rest = names.length - MAX_LISTED;
  return `${names.slice(0, MAX_LISTED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function fail(reason: string, id: string, fix: string): never {
  throw new UsageError(reason, { id, fix });
}
