import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Random } from '../../system/index.ts';
import { CheckedFunction, type CheckedInput } from '../gradient-check.ts';
import type { Dimension } from '../graph.ts';
import { affine } from './index.ts';

let cache: string;

beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-linear-'));
});

afterAll(async () => {
  await rm(cache, { recursive: true });
});

const [INNER, COLUMNS] = [256, 256];
const random = new Random(5);
const numbers = (...shape: number[]) => ({
  ...{ dtype: 'float32' as const, shape },
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.uniform() - 0.5),
});

/** x · weightᵀ + bias and its gradients. With any number of rows they are computed in groups, with a known one in one piece. */
async function results(rows: Dimension, values: ReturnType<typeof numbers>[], seed: Float32Array) {
  const shapes = [[rows, INNER], [COLUMNS, INNER], [COLUMNS]];
  const inputs = shapes.map((shape): CheckedInput => ({ dtype: 'float32', shape }));
  const checked = await CheckedFunction.compile(inputs, (x, weight, bias) => affine(x!, weight!, bias!), cache);
  const { result, gradients } = await checked.run(values, seed);
  await checked.close();
  return [result.data as Float32Array, ...gradients.map((gradient) => gradient!)];
}

test.each([
  ['groups of 512 rows', 2048],
  ['groups of 128 rows, an odd number of them', 17 * 128],
  ['more rows than are worth it, but an odd number', 2051],
])('a table times a matrix, in groups of rows, is the product in one piece: %s', async (_what, rows) => {
  const seed = numbers(rows * COLUMNS).data;
  const values = [numbers(rows, INNER), numbers(COLUMNS, INNER), numbers(COLUMNS)];
  const [groups, whole] = [await results('rows', values, seed), await results(rows, values, seed)];
  for (const [index, found] of groups.entries()) {
    const usual = Math.sqrt(whole[index]!.reduce((sum, value) => sum + value * value, 0) / found.length);
    const worst = found.reduce((most, value, at) => Math.max(most, Math.abs(value - whole[index]![at]!)), 0);
    expect(worst / usual).toBeLessThan(2e-5);
  }
});
