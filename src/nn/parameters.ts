import { UsageError } from '../system/index.ts';

/** A named tensor of trainable values. */
export interface Parameter {
  name: string;
  shape: readonly number[];
  /** Row-major. */
  data: Float32Array;
}

/**
 * The values a trainer may change: an ordered map from names to tensors of 32-bit floats. The order is that of the
 * constructor and never changes, so that whatever walks over it (norms, checkpoints) gives the same bits each time.
 */
export class Parameters {
  readonly #entries = new Map<string, { shape: readonly number[]; data: Float32Array }>();

  /** @throws UsageError for a name given twice, or data that does not fill its shape */
  constructor(parameters: Iterable<Parameter> = []) {
    for (const { name, shape, data } of parameters) {
      if (this.#entries.has(name)) fail('two parameters have this name', name, 'Give each a name of its own.');
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

  /** @throws UsageError for an unknown name */
  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  /**
   * The values themselves, no copy. Ask again after every run of a graph: the arrays are lent to the worker thread and
   * come back as new views.
   * @throws UsageError for an unknown name
   */
  get(name: string): Float32Array {
    return this.#entry(name).data;
  }

  /** Puts another array in place; it is kept, not copied. @throws UsageError where it does not fill the shape */
  set(name: string, data: Float32Array): void {
    const entry = this.#entry(name);
    checkSize(name, entry.shape, data);
    entry.data = data;
  }

  /** Number of values of one parameter. @throws UsageError for an unknown name */
  size(name: string): number {
    return countOf(this.#entry(name).shape);
  }

  /** Number of values of all parameters together. */
  get total(): number {
    return this.names().reduce((sum, name) => sum + this.size(name), 0);
  }

  #entry(name: string) {
    const entry = this.#entries.get(name);
    return entry ?? fail('there is no such parameter', name, `Known are ${listed(this.names())}.`);
  }
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

function checkSize(name: string, shape: readonly number[], data: Float32Array): void {
  if (data.length !== countOf(shape)) {
    fail(`${data.length} values do not fill the shape [${shape}]`, name, 'Give as many values as the shape holds.');
  }
}

const MOST_LISTED = 8;

function listed(names: readonly string[]): string {
  const rest = names.length - MOST_LISTED;
  return `${names.slice(0, MOST_LISTED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function fail(reason: string, id: string, fix: string): never {
  throw new UsageError(reason, { id, fix });
}
