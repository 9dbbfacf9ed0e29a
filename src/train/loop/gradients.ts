import type { Parameters } from '../../nn/index.ts';
import { ModelError } from '../../system/index.ts';

/** Gradients by parameter name. */
export type Gradients = ReadonlyMap<string, Float32Array>;

/**
 * Sums the gradients of micro-batches. Later gradients are added in place to the first ones, so accumulation takes no
 * extra memory.
 */
export class GradientSum {
  readonly #parameters: Parameters;
  #sum: Map<string, Float32Array> | undefined;

  constructor(parameters: Parameters) {
    this.#parameters = parameters;
  }

  /** @throws ModelError if a parameter has no gradient or one of another size */
  add(gradients: Gradients): void {
    this.#check(gradients);
    if (this.#sum === undefined) {
      this.#sum = new Map(gradients);
      return;
    }
    for (const [name, sum] of this.#sum) addTo(sum, gradients.get(name)!);
  }

  /** Returns the sum of all added gradients and starts a new, empty sum. */
  take(): Gradients {
    const sum = this.#sum ?? new Map<string, Float32Array>();
    this.#sum = undefined;
    return sum;
  }

  #check(gradients: Gradients): void {
    for (const name of this.#parameters.names()) {
      const size = gradients.get(name)?.length;
      const expected = this.#parameters.size(name);
      if (size === expected) continue;
      throw new ModelError(size === undefined ? 'has no gradient' : `has ${expected} values, but ${size} gradients`, {
        id: name,
        fix: 'Return one gradient of the same size for each parameter of the training task.',
      });
    }
  }
}

function addTo(sum: Float32Array, more: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + more[i]!;
}

/**
 * The Euclidean norm of all gradients together, in 64-bit sums. It is NaN or infinite exactly if a gradient is.
 */
export function globalNorm(gradients: Gradients): number {
  let sum = 0;
  for (const gradient of gradients.values()) sum += sumOfSquares(gradient);
  return Math.sqrt(sum);
}

/** Four running sums: an addition need not wait for the one before it. */
function sumOfSquares(values: Float32Array): number {
  const whole = values.length - (values.length % 4);
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! * values[i]!;
    b += values[i + 1]! * values[i + 1]!;
    c += values[i + 2]! * values[i + 2]!;
    d += values[i + 3]! * values[i + 3]!;
  }
  for (let i = whole; i < values.length; i++) a += values[i]! * values[i]!;
  return a + b + (c + d);
}

/** The factor that scales gradients of this norm to within a limit, as PyTorch's `clip_grad_norm_` computes it. */
export function clipFactor(norm: number, limit: number | undefined): number {
  return limit === undefined ? 1 : Math.min(1, limit / (norm + 1e-6));
}

/** Squares above this do not fit the 32-bit running mean of AdamW. */
const LARGEST_GRADIENT = 1e18;

/** Whether a step with gradients of this norm, after clipping, is possible. */
export function isUsable(norm: number, factor: number): boolean {
  return norm * factor < LARGEST_GRADIENT;
}

/**
 * The first parameter with gradients that are not finite, and their number; if there is none, the parameter with the
 * largest gradient.
 */
export function findFault(gradients: Gradients): { name: string; value: number; count: number } {
  let worst = { name: '', value: 0, count: 0 };
  for (const [name, gradient] of gradients) {
    const broken = gradient.filter((value) => !Number.isFinite(value));
    if (broken.length > 0) return { name, value: broken[0]!, count: broken.length };
    const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (largest > worst.value) worst = { name, value: largest, count: 1 };
  }
  return worst;
}
