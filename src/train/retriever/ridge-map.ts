import { Parameters } from '../../nn/index.ts';
import { DataError, deriveSeed, ModelError, Random } from '../../system/index.ts';
import { PROJECTION } from './contrastive-losses.ts';
import type { ContrastiveTaskOptions } from './contrastive-task.ts';
import { lengthOf, teacherVectors } from './contrastive-task.ts';
import { FrozenEncoder } from './frozen-encoder.ts';
import type { RetrieverBase } from './retriever-base.ts';
import type { RetrieverExample } from './retriever-example.ts';

/** Strengths that are tried, in units of the mean of a query's squared length per dimension, times the number of queries. */
const STRENGTHS = [0.01, 0.1, 1, 10, 100, 1000];

/** Share of the queries on which the strength is chosen. */
const HELD_OUT = 0.2;

/**
 * The linear map W = 1 + M that draws each query's vector x to the vector t of the expanded query, in closed form: M is the least
 * squares solution of Σ ‖x + M x - t‖² + λ ‖M‖², so that with a large λ the map is identity. The baseline that every other student
 * has to beat.
 * @returns the map as parameters of a projection, and the mean squared distance before and after
 * @throws DataError if there are too few queries to choose λ by; ModelError for vectors that are not finite
 */
export async function fitRidge(
  base: RetrieverBase,
  examples: readonly RetrieverExample[],
  { settings, threads, cache, signal }: ContrastiveTaskOptions,
): Promise<{ parameters: Parameters; loss: { first: number; last: number }; strength: number }> {
  const { hidden_size: size } = base.recipe.config;
  const frozen = await FrozenEncoder.open(base, { threads, cache, signal });
  try {
    const x = await frozen.vectors(
      examples.map(({ query }) => query!),
      signal,
    );
    const t = await teacherVectors(base, frozen, examples, { alpha: settings.alpha, signal });
    if (base.recipe.normalize) for (const table of [x, t]) scaleRows(table, size);
    refuseBroken(base, examples, [x, t]);
    const all = [...examples.keys()];
    const strength = settings.ridge ?? chooseStrength(x, t, size, settings.seed);
    const map = solve(x, t, size, all, strength);
    const weight = Float32Array.from(map);
    return {
      parameters: new Parameters([{ name: PROJECTION, shape: [size, size], data: weight }]),
      loss: { first: distance(x, t, size, all, undefined), last: distance(x, t, size, all, map) },
      strength,
    };
  } finally {
    await frozen.close();
  }
}

/** @throws ModelError that names the first query whose vector holds a number that is not finite */
function refuseBroken({ recipe }: RetrieverBase, examples: readonly RetrieverExample[], tables: Float32Array[]): void {
  const size = recipe.config.hidden_size;
  const at = Math.max(...tables.map((table) => table.findIndex((value) => !Number.isFinite(value))));
  if (at < 0) return;
  throw new ModelError('the encoder gives a vector with a number that is not finite', {
    ...{ file: recipe.model.path, id: examples[Math.floor(at / size)]!.id },
    fix: 'Look at the model: NaN or infinity in a weight spoils every text.',
  });
}

function chooseStrength(x: Float32Array, t: Float32Array, size: number, seed: number): number {
  const rows = x.length / size;
  const order = new Random(deriveSeed(seed, 'ridge')).shuffle(Array.from({ length: rows }, (_, row) => row));
  const held = Math.floor(rows * HELD_OUT);
  if (held === 0) {
    throw new DataError(`${rows} queries are too few to choose the strength of ridge`, {
      fix: 'Pass more rows, or set the strength with --ridge.',
    });
  }
  const [test, learn] = [order.slice(0, held), order.slice(held)];
  const errors = STRENGTHS.map((strength) => distance(x, t, size, test, solve(x, t, size, learn, strength)));
  return STRENGTHS[errors.indexOf(Math.min(...errors))]!;
}

/** M of the queries named, row-major // [size, size] */
function solve(
  x: Float32Array,
  t: Float32Array,
  size: number,
  rows: readonly number[],
  strength: number,
): Float64Array {
  const gram = new Float64Array(size * size);
  const cross = new Float64Array(size * size); // [input, output]
  for (const row of rows) {
    const start = row * size;
    for (let i = 0; i < size; i++) {
      const value = x[start + i]!;
      for (let j = 0; j < size; j++) {
        gram[i * size + j] = gram[i * size + j]! + value * x[start + j]!;
        cross[i * size + j] = cross[i * size + j]! + value * (t[start + j]! - x[start + j]!);
      }
    }
  }
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i]!;
  for (let i = 0; i < size; i++) gram[i * size + i] = gram[i * size + i]! + (strength * trace) / size + 1e-12;
  const solution = choleskySolve(gram, cross, size); // [input, output]
  const map = new Float64Array(size * size);
  for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) map[j * size + i] = solution[i * size + j]!;
  return map;
}

/** A⁻¹ B of a symmetric positive definite A; both row-major // [size, size]; A is overwritten. */
export function choleskySolve(a: Float64Array, b: Float64Array, size: number): Float64Array {
  for (let j = 0; j < size; j++) {
    for (let i = j; i < size; i++) {
      let sum = a[i * size + j]!;
      for (let k = 0; k < j; k++) sum -= a[i * size + k]! * a[j * size + k]!;
      a[i * size + j] = i === j ? Math.sqrt(sum) : sum / a[j * size + j]!;
    }
  }
  const x = b.slice();
  const takeAway = (row: number, other: number, factor: number) => {
    for (let c = 0; c < size; c++) x[row * size + c] = x[row * size + c]! - factor * x[other * size + c]!;
  };
  const divide = (row: number) => {
    for (let c = 0; c < size; c++) x[row * size + c] = x[row * size + c]! / a[row * size + row]!;
  };
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) takeAway(i, k, a[i * size + k]!);
    divide(i);
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) takeAway(i, k, a[k * size + i]!);
    divide(i);
  }
  return x;
}

/** Mean squared distance of mapped queries and their targets. */
function distance(
  x: Float32Array,
  t: Float32Array,
  size: number,
  rows: readonly number[],
  map: Float64Array | undefined,
): number {
  let sum = 0;
  for (const row of rows) {
    const query = x.subarray(row * size, (row + 1) * size);
    for (let j = 0; j < size; j++) {
      let value = query[j]!;
      if (map !== undefined) for (let i = 0; i < size; i++) value += map[j * size + i]! * query[i]!;
      sum += (value - t[row * size + j]!) ** 2;
    }
  }
  return sum / rows.length;
}

/** Brings each row to length 1. */
function scaleRows(table: Float32Array, size: number): void {
  for (let start = 0; start < table.length; start += size) {
    const row = table.subarray(start, start + size);
    const length = lengthOf(row);
    for (let at = 0; at < size; at++) row[at] = row[at]! / length;
  }
}
