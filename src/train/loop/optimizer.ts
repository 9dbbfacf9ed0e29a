import type { Parameters } from '../../nn/index.ts';
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
 * means, then the step. Arithmetic between two stores is 64-bit: a step rounds once, while PyTorch rounds four times.
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
  step(gradients: Gradients, { learningRate, scale = 1 }: { learningRate: number; scale?: number }): void {
    this.steps++;
    const { betas, epsilon, weightDecay, decays = hasWeightDecay } = this.#options;
    const [beta1, beta2] = betas;
    const rule = {
      beta1,
      beta2,
      epsilon,
      scale,
      stepSize: learningRate / (1 - beta1 ** this.steps),
      rootCorrection: Math.sqrt(1 - beta2 ** this.steps),
    };
    for (const [name, moments] of this.#moments) {
      const keep = decays(name) ? 1 - learningRate * weightDecay : 1;
      update(this.#parameters.get(name), gradients.get(name)!, moments, { ...rule, keep });
    }
  }
}

interface UpdateRule {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Factor of the gradient. */
  scale: number;
  /** Factor of the value: 1 minus its decay. */
  keep: number;
  /** Learning rate over the bias correction of the mean. */
  stepSize: number;
  /** Root of the bias correction of the square. */
  rootCorrection: number;
}

/** Updates in one pass over memory: each value is read and written once. */
function update(values: Float32Array, gradient: Float32Array, { mean, square }: Moments, rule: UpdateRule): void {
  const { beta2, epsilon, scale, keep, stepSize } = rule;
  const share1 = 1 - rule.beta1;
  const share2 = 1 - beta2;
  const inverseRoot = 1 / rule.rootCorrection;
  for (let i = 0; i < values.length; i++) {
    const slope = gradient[i]! * scale;
    const m = mean[i]! + (slope - mean[i]!) * share1;
    const v = square[i]! * beta2 + slope * slope * share2;
    mean[i] = m;
    square[i] = v;
    values[i] = values[i]! * keep - (stepSize * m) / (Math.sqrt(v) * inverseRoot + epsilon);
  }
}
