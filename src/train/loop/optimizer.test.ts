import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Parameters } from '../../nn/index.ts';
import { clipFactor, globalNorm } from './gradients.ts';
import { AdamW, hasWeightDecay } from './optimizer.ts';
import { type ScheduleKind, scheduleFactor } from './schedule.ts';

const golden = JSON.parse(readFileSync(new URL('../goldens/optimizer.json', import.meta.url), 'utf8'));

describe('AdamW against PyTorch', () => {
  const { settings, shapes, weightDecays, norms, rates, parametersAfterStep, firstMoments, secondMoments } =
    golden.adamw;
  const sizes: number[] = shapes.map((shape: number[]) => shape.reduce((a, b) => a * b));
  const name = (n: number) => `tensor${n}`;

  const start = (n: number) => Float32Array.from({ length: sizes[n]! }, (_, i) => (((i * 7 + n * 5) % 17) - 8) / 16);
  const gradient = (step: number, n: number) =>
    Float32Array.from(
      { length: sizes[n]! },
      (_, i) => (((i * 5 + n * 3 + step * 11) % 23) - 11) * 2 ** (n - 4 - (step % 4)),
    );
  const largestDifference = (found: Float32Array, expected: number[]) =>
    Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)));

  test('20 steps with clipping, warm-up and two groups of decay give its values and moments within 1e-6', async () => {
    const parameters = new Parameters(sizes.map((_, n) => ({ name: name(n), shape: shapes[n], data: start(n) })));
    const optimizer = new AdamW(parameters, {
      betas: [settings.beta1, settings.beta2],
      epsilon: settings.epsilon,
      weightDecay: weightDecays[0],
      decays: (tensor) => weightDecays[Number(tensor.slice(6))] > 0,
    });
    const schedule = { kind: 'linear' as const, warmup: settings.warmupSteps, steps: settings.steps };
    let checked = 0;
    for (let step = 0; step < settings.steps; step++) {
      const gradients = new Map(sizes.map((_, n) => [name(n), gradient(step, n)]));
      const norm = globalNorm(gradients);
      expect(norm).toBeCloseTo(norms[step], 5);
      const learningRate = settings.learningRate * scheduleFactor(schedule, step);
      expect(learningRate).toBeCloseTo(rates[step], 8);
      await optimizer.step(gradients, { learningRate, scale: clipFactor(norm, settings.maxGradNorm) });
      const expected = parametersAfterStep[step + 1];
      if (expected === undefined) continue;
      for (const n of sizes.keys()) {
        expect(largestDifference(parameters.get(name(n)), expected[n])).toBeLessThan(1e-6);
        checked++;
      }
    }
    expect(checked).toBe(9);
    for (const n of sizes.keys()) {
      const { mean, square } = optimizer.moments(name(n));
      expect(largestDifference(mean, firstMoments[n])).toBeLessThan(1e-7);
      expect(largestDifference(square, secondMoments[n])).toBeLessThan(1e-8);
    }
  });

  test('a parameter of any length takes the step that its numbers take in short ones', async () => {
    const [long, short] = [2 * 65536 + 3, 1000];
    const cut = (from: number, to: number) => Float32Array.from({ length: to - from }, (_, i) => Math.sin(from + i));
    const step = async (from: number, to: number) => {
      const parameters = new Parameters([{ name: 'p', shape: [to - from], data: cut(from, to) }]);
      const optimizer = new AdamW(parameters, { betas: [0.9, 0.99], epsilon: 1e-8, weightDecay: 0.1 });
      for (const scale of [1, 0.5]) {
        await optimizer.step(new Map([['p', cut(from, to)]]), { learningRate: 0.01, scale });
      }
      return [parameters.get('p'), optimizer.moments('p').mean, optimizer.moments('p').square];
    };
    const whole = await step(0, long);
    for (const from of [0, 65536 - 500, long - short]) {
      const part = await step(from, from + short);
      expect(part).toEqual(whole.map((table) => table.slice(from, from + short)));
    }
  });

  test('biases and the scales of normalisations do not decay', () => {
    const names = [
      'encoder.layer.0.attention.output.dense.weight',
      'encoder.layer.0.attention.output.dense.bias',
      'encoder.layer.0.output.LayerNorm.weight',
      'model.layers.0.input_layernorm.weight',
      'model.norm.weight',
      'model.layers.0.self_attn.q_norm.weight',
      'model.layers.0.self_attn.q_proj.lora_A.weight',
      'normal.weight',
    ];
    expect(names.filter(hasWeightDecay)).toEqual([names[0], names[6], names[7]]);
  });
});

test.each(golden.schedules as { schedule: ScheduleKind; steps: number; warmupSteps: number; factors: number[] }[])(
  "$schedule schedule with $warmupSteps steps of warm-up is Transformers'",
  ({ schedule: kind, steps, warmupSteps: warmup, factors }) => {
    expect(factors).toHaveLength(31);
    for (const [step, factor] of factors.entries()) {
      expect(scheduleFactor({ kind, warmup, steps }, step)).toBeCloseTo(factor, 6);
    }
  },
);

test('a fraction of warm-up is rounded up to steps', () => {
  const schedule = { kind: 'linear' as const, warmup: 0.1, steps: 25 };
  expect([0, 1, 2, 3].map((step) => scheduleFactor(schedule, step))).toEqual([0, 1 / 3, 2 / 3, 1]);
});
