import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Random } from '../../system/index.ts';
import { CheckedFunction, type CheckedInput } from '../gradient-check.ts';
import type { Tensor } from '../graph.ts';
import type { Value } from '../runtime-messages.ts';
import * as ops from './index.ts';

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-attention-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

const random = new Random(8);
const integers = (shape: number[], ...numbers: number[]): Value => {
  return { dtype: 'int32', shape, data: Int32Array.from(numbers) };
};

async function run(values: Value[], inputs: CheckedInput[], build: (...tensors: Tensor[]) => Tensor) {
  const checked = await CheckedFunction.compile(inputs, build, cache);
  try {
    return await checked.run(values, new Float32Array(2000).fill(1));
  } finally {
    await checked.close();
  }
}

/** Returns the mask, computed with an added 0: a checked function needs a differentiable input. */
const seen = async (mask: (...t: Tensor[]) => Tensor, inputs: CheckedInput[], values: Value[]) => {
  const zero: Value = { dtype: 'float32', shape: [], data: Float32Array.of(0) };
  const { result } = await run([...values, zero], [...inputs, { dtype: 'float32', shape: [] }], (...t) =>
    ops.add(mask(...t.slice(0, -1)), t.at(-1)!),
  );
  expect(new Set(result.data as Float32Array)).toEqual(new Set([0, -1e9]));
  return [...(result.data as Float32Array)].map((number) => (number === 0 ? 1 : 0));
};

test('the branch mask shows a token its trunk and its own branch', async () => {
  const text = integers([1, 7], 0, 0, 0, 0, 0, 1, 1);
  const branch = integers([1, 7], 0, 0, 1, 1, 2, 0, 1);
  const inputs: CheckedInput[] = [text, branch].map(({ dtype }) => ({ dtype, shape: ['batch', 'sequence'] }));
  // Rows are queries, columns are keys.
  const expected = [
    [1, 0, 0, 0, 0, 0, 0], // the trunk of text 0
    [1, 1, 0, 0, 0, 0, 0],
    [1, 1, 1, 0, 0, 0, 0], // its first branch
    [1, 1, 1, 1, 0, 0, 0],
    [1, 1, 0, 0, 1, 0, 0], // its second branch, which does not see the first
    [0, 0, 0, 0, 0, 1, 0], // text 1
    [0, 0, 0, 0, 0, 1, 1],
  ];
  expect(await seen((t, b) => ops.branchMask(t!, b!), inputs, [text, branch])).toEqual(expected.flat());
});

test('the padding mask shows the first tokens of each text', async () => {
  const lengths = integers([2], 3, 1);
  const inputs: CheckedInput[] = [{ dtype: 'int32', shape: ['batch'] }];
  expect(await seen((n) => ops.paddingMask(n!, 4), inputs, [lengths])).toEqual([1, 1, 1, 0, 1, 0, 0, 0]);
});

test('two continuations with a shared beginning give the same as separate texts, gradients included', async () => {
  const [heads, keyHeads, size] = [4, 2, 4];
  const [trunk, branches] = [3, [2, 3]];
  const draw = (rows: number) =>
    Array.from({ length: rows }, () => Float32Array.from({ length: size }, () => random.normal()));
  const total = trunk + branches[0]! + branches[1]!;
  const tokens = [heads, keyHeads, keyHeads].map((count) => Array.from({ length: count }, () => draw(total)));
  const angles = { inverse: Float32Array.of(1, 0.2), scale: 1 };

  /** Computes attention over some of the tokens, at their positions in their text. */
  async function over(chosen: number[], positions: number[], branch: number[]) {
    const length = chosen.length;
    const parts = tokens.map((part): Value => {
      const numbers = part.flatMap((head) => chosen.flatMap((token) => [...head[token]!]));
      return { dtype: 'float32', shape: [1, part.length, length, size], data: Float32Array.from(numbers) };
    });
    const places = [positions, branch, chosen.map(() => 0)].map((numbers) => integers([1, length], ...numbers));
    const inputs = [...parts, ...places].map(
      ({ dtype, shape }): CheckedInput =>
        shape.length === 2
          ? { dtype, shape: ['batch', 'sequence'] }
          : { dtype, shape: ['batch', shape[1]!, 'sequence', size] },
    );
    const build = (...[query, key, value, at, branch, text]: Tensor[]) =>
      ops.attend(
        ops.rotate(query!, at!, angles),
        ops.rotate(key!, at!, angles),
        value!,
        ops.branchMask(text!, branch!),
      );
    const { result, gradients } = await run([...parts, ...places], inputs, build);
    const row = (data: Float32Array, head: number, at: number) => [
      ...data.subarray((head * length + at) * size, (head * length + at + 1) * size),
    ];
    return { result: result.data as Float32Array, queries: gradients[0]!, row };
  }

  const shared = await over([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 3, 4, 5], [0, 0, 0, 1, 1, 2, 2, 2]);
  const alone = [
    { chosen: [0, 1, 2, 3, 4], from: 3 },
    { chosen: [0, 1, 2, 5, 6, 7], from: 3 },
  ];
  for (const { chosen, from } of alone) {
    const single = await over(
      chosen,
      [...chosen.keys()],
      chosen.map(() => 0),
    );
    for (let head = 0; head < heads; head++) {
      for (let at = from; at < chosen.length; at++) {
        for (const part of ['result', 'queries'] as const) {
          const [found, expected] = [shared.row(shared[part], head, chosen[at]!), single.row(single[part], head, at)];
          found.forEach((number, index) => {
            expect(number).toBeCloseTo(expected[index]!, 5);
          });
        }
      }
    }
  }
});

test('rotations by different frequencies do not share angles: one forward and one back restores the input', async () => {
  const [shape, places] = [
    [1, 2, 3, 4],
    [0, 2, 1],
  ];
  const data = Float32Array.from({ length: 24 }, () => random.normal());
  const [there, back] = [1, -1].map((sign) => ({ inverse: Float32Array.of(sign, 0.2 * sign), scale: 1 }));
  const { result, gradients } = await run(
    [{ dtype: 'float32', shape, data }, integers([1, 3], ...places)],
    [
      { dtype: 'float32', shape: ['batch', 2, 'sequence', 4] },
      { dtype: 'int32', shape: ['batch', 'sequence'] },
    ],
    (x, at) => ops.rotate(ops.rotate(x!, at!, there!), at!, back!),
  );
  data.forEach((number, index) => {
    expect(result.data[index]).toBeCloseTo(number, 5);
    expect(gradients[0]![index]).toBeCloseTo(1, 5);
  });
});
