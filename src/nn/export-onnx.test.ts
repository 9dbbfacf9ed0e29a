import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCheckpoint } from '../models/index.ts';
import { exportOnnx } from './export-onnx.ts';

const GOLDENS = fileURLToPath(new URL('./goldens', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-onnx-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function exported(name: string) {
  const source = join(GOLDENS, name);
  const read = async (file: string) => JSON.parse(await readFile(join(source, file), 'utf8'));
  const checkpoint = await openCheckpoint(source);
  await exportOnnx(join(folder, name), checkpoint, await read('config.json'));
  await checkpoint.close();
  expect((await readdir(join(folder, name))).sort()).toEqual(['model.onnx', 'weights.bin']);
  const session = await InferenceSession.create(join(folder, name, 'model.onnx'));
  return { session, expected: await read('expected.json') };
}

const int64 = (rows: number[][]) => {
  return new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length]);
};

/** Returns the rows of the real tokens, in order // [tokens][width] */
function realRows({ data, dims }: Tensor, mask: number[][]): number[][] {
  const width = dims[2]!;
  return mask.flat().flatMap((real, row) => {
    return real === 0 ? [] : [[...(data as Float32Array).subarray(row * width, (row + 1) * width)]];
  });
}

function expectClose(found: number[][], expected: number[][]) {
  expect(found.length).toBe(expected.length);
  expected.flat().forEach((number, index) => {
    expect(Math.abs(found.flat()[index]! - number)).toBeLessThan(1e-4 * Math.max(1, Math.abs(number)));
  });
}

test('a language model gives the same logits as Transformers, padded at either end', async () => {
  const { session, expected } = await exported('llama');
  const { ids, attentionMask } = expected as { ids: number[][]; attentionMask: number[][] };
  const right = await session.run({ input_ids: int64(ids), attention_mask: int64(attentionMask) });
  expectClose(realRows(right.logits!, attentionMask), expected.logits.flat());
  const turned = (rows: number[][]) => {
    return rows.map((row, text) => {
      const length = attentionMask[text]!.filter(Boolean).length;
      return [...row.slice(length), ...row.slice(0, length)];
    });
  };
  const left = await session.run({ input_ids: int64(turned(ids)), attention_mask: int64(turned(attentionMask)) });
  expectClose(realRows(left.logits!, turned(attentionMask)), expected.logits.flat());
  await session.release();
});

test('an encoder gives the same token vectors as Transformers', async () => {
  const { session, expected } = await exported('bert');
  const { ids, attentionMask } = expected as { ids: number[][]; attentionMask: number[][] };
  const { last_hidden_state: vectors } = await session.run({
    input_ids: int64(ids),
    attention_mask: int64(attentionMask),
  });
  expectClose(realRows(vectors!, attentionMask), expected.lastHiddenState.flat());
  await session.release();
});

test('another family is refused', async () => {
  const checkpoint = await openCheckpoint(join(GOLDENS, 'llama'));
  await expect(exportOnnx(join(folder, 'no'), checkpoint, { model_type: 'gpt2' })).rejects.toThrow(/config\.json/);
  await checkpoint.close();
});
