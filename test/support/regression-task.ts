import { Parameters } from '../../src/nn/index.ts';
import { Random } from '../../src/system/index.ts';
import type { MicroBatchResult, TrainingTask } from '../../src/train/index.ts';

/** One point of a line in several dimensions. */
export interface Point {
  inputs: number[];
  target: number;
  /** What {@link RegressionTask.tokens} says. */
  length: number;
}

export const TRUE_WEIGHTS = [1.5, -2, 0.5];
export const TRUE_BIAS = 0.25;

/** Points on the plane of TRUE_WEIGHTS and TRUE_BIAS, of lengths from 1 to 20. */
export function points(count: number, seed = 1): Point[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const inputs = TRUE_WEIGHTS.map(() => random.normal());
    const target = TRUE_BIAS + inputs.reduce((sum, value, i) => sum + value * TRUE_WEIGHTS[i]!, 0);
    return { inputs, target, length: 1 + random.below(20) };
  });
}

/** Linear regression by squared error with gradients by hand; `noise` blurs the inputs as dropout would, by the seed. */
export class RegressionTask implements TrainingTask<Point> {
  readonly parameters = new Parameters([
    { name: 'layer.weight', shape: [1, 3], data: new Float32Array(3) },
    { name: 'layer.bias', shape: [1], data: new Float32Array(1) },
  ]);
  readonly calls: { examples: number; tokens: number; seed: number }[] = [];
  readonly #noise: number;

  constructor({ noise = 0 } = {}) {
    this.#noise = noise;
  }

  weigh(): number {
    return 1;
  }

  tokens({ length }: Point): number {
    return length;
  }

  async gradients(
    examples: readonly Point[],
    { total, seed }: { total: number; seed: number },
  ): Promise<MicroBatchResult> {
    this.calls.push({ examples: examples.length, tokens: examples.reduce((sum, { length }) => sum + length, 0), seed });
    const random = new Random(seed);
    return this.#pass(examples, total, () => 1 + this.#noise * random.normal());
  }

  async evaluate(examples: readonly Point[], { total }: { total: number }) {
    const { loss, metrics } = this.#pass(examples, total, () => 1);
    return { loss, metrics };
  }

  async close(): Promise<void> {}

  #pass(examples: readonly Point[], total: number, blur: () => number): MicroBatchResult {
    const weights = this.parameters.get('layer.weight');
    const weight = new Float32Array(3);
    const bias = new Float32Array(1);
    let loss = 0;
    let error = 0;
    for (const { inputs, target } of examples) {
      const seen = inputs.map((value) => value * blur());
      const off =
        seen.reduce((sum, value, i) => sum + value * weights[i]!, this.parameters.get('layer.bias')[0]!) - target;
      loss += off ** 2 / total;
      error += Math.abs(off) / total;
      for (const [i, value] of seen.entries()) weight[i]! += (2 * off * value) / total;
      bias[0]! += (2 * off) / total;
    }
    const gradients = new Map([
      ['layer.weight', weight],
      ['layer.bias', bias],
    ]);
    return { loss, metrics: { error }, gradients };
  }
}
