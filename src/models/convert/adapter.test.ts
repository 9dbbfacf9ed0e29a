import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelError, UsageError } from '../../system/index.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { writeSafetensors } from '../formats/safetensors-writer.ts';
import { type LoraAdapter, readAdapter, writeAdapter } from './adapter.ts';
import { type LoraConfig, loraScale, parseLoraConfig } from './adapter-config.ts';
import { mergedCheckpoint } from './adapter-merge.ts';

/** Written by PEFT (reference/adapters.py). */
const GOLDENS = join(import.meta.dirname, '../goldens', 'adapters');
/** The tiny Llama that they adapt. */
const BASE = join(import.meta.dirname, '../../nn/goldens/llama');
const NAMES = ['plain', 'rslora', 'patterns'];
const Q = 'model.layers.0.self_attn.q_proj';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'adapter-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(NAMES)("PEFT's adapter %s", (name) => {
  test('merges into the base like PEFT', async () => {
    const { mergedWeights } = JSON.parse(await readFile(join(GOLDENS, name, 'expected.json'), 'utf8')) as {
      mergedWeights: Record<string, [sum: number, squares: number]>;
    };
    const merged = mergedCheckpoint(await openCheckpoint(BASE), await readAdapter(join(GOLDENS, name)));
    expect(Object.keys(mergedWeights).length).toBeGreaterThan(3);
    for (const [weight, [sum, squares]] of Object.entries(mergedWeights)) {
      const data = await merged.read(weight);
      expect(
        data.reduce((total, value) => total + value, 0),
        weight,
      ).toBeCloseTo(sum, 3);
      expect(
        data.reduce((total, value) => total + value * value, 0),
        weight,
      ).toBeCloseTo(squares, 3);
    }
    await merged.close();
  });

  test('survives writing and reading, key for key and bit for bit', async () => {
    const target = join(folder, name, 'copy');
    const adapter = await readAdapter(join(GOLDENS, name));
    await writeAdapter(target, adapter);
    await writeAdapter(target, adapter);
    expect(await readAdapter(target)).toEqual(adapter);
    expect((await readdir(target)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    expect(await readdir(join(folder, name))).toEqual(['copy']);
    const written = JSON.parse(await readFile(join(target, 'adapter_config.json'), 'utf8'));
    expect(written).toEqual(JSON.parse(await readFile(join(GOLDENS, name, 'adapter_config.json'), 'utf8')));
  });
});

test('returns the scale of the module', () => {
  const config = (more: object): LoraConfig =>
    parseLoraConfig('c.json', JSON.stringify({ peft_type: 'LORA', r: 4, lora_alpha: 8, ...more }));
  expect(loraScale(config({}), Q)).toBe(2);
  expect(loraScale(config({ use_rslora: true }), Q)).toBe(4);
  expect(loraScale(config({ alpha_pattern: { q_proj: 2 } }), Q)).toBe(0.5);
  expect(loraScale(config({ alpha_pattern: { proj: 2 } }), Q)).toBe(2);
  expect(loraScale(config({ rank_pattern: { 'layers.0.self_attn.[qk]_proj': 16 } }), Q)).toBe(0.5);
  expect(loraScale(config({ rank_pattern: { '(?P<bad': 16, 'self_attn.q_proj': 1 } }), Q)).toBe(8);
});

test.each([
  ['use_dora', true],
  ['bias', 'lora_only'],
  ['modules_to_save', ['lm_head']],
  ['layer_replication', [[0, 1]]],
  ['fan_in_fan_out', true],
  ['peft_type', 'IA3'],
  ['init_lora_weights', 'pissa'],
  ['trainable_token_indices', [1, 2]],
])('a configuration with %s is refused, and the key is named', (key, value) => {
  const text = JSON.stringify({ peft_type: 'LORA', r: 4, lora_alpha: 8, [key]: value });
  expect(() => parseLoraConfig('c.json', text)).toThrow(ModelError);
  expect(() => parseLoraConfig('c.json', text)).toThrow(`id "${key}"`);
});

test('accepts settings that do not change the numbers', () => {
  const text = JSON.stringify({
    peft_type: 'LORA',
    r: 4,
    lora_alpha: 8,
    bias: 'none',
    modules_to_save: [],
    new_key: 3,
  });
  expect(parseLoraConfig('c.json', text)).toMatchObject({ new_key: 3, use_rslora: false });
  expect(() => parseLoraConfig('c.json', '{"peft_type":"LORA","r":0,"lora_alpha":1}')).toThrow(ModelError);
  expect(() => parseLoraConfig('c.json', 'x')).toThrow('c.json');
});

/** Writes the plain golden with changed tensors, without the checks of `writeAdapter`. */
async function changed(change: (adapter: LoraAdapter) => void, prefix = 'base_model.model.'): Promise<string> {
  const target = await mkdtemp(join(folder, 'changed-'));
  const adapter = await readAdapter(join(GOLDENS, 'plain'));
  change(adapter);
  await copyFile(join(GOLDENS, 'plain', 'adapter_config.json'), join(target, 'adapter_config.json'));
  const tensors = [...adapter.tensors].map(([name, tensor]) => ({ name: `${prefix}${name}`, ...tensor }));
  await writeSafetensors(join(target, 'adapter_model.safetensors'), tensors);
  return target;
}

test('factor names may contain the adapter name', async () => {
  const named = await changed(({ tensors }) => {
    for (const [name, tensor] of [...tensors]) {
      tensors.delete(name);
      tensors.set(name.replace(/(lora_[AB])/, '$1.default'), tensor);
    }
  });
  expect(await readAdapter(named)).toEqual(await readAdapter(join(GOLDENS, 'plain')));
  const twice = await changed(({ tensors }) => {
    tensors.set(`${Q}.lora_A.other.weight`, tensors.get(`${Q}.lora_A.weight`)!);
  });
  await expect(readAdapter(twice)).rejects.toThrow('several adapters');
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'a factor of %s is refused',
  async (value) => {
    const unreal = await changed(({ tensors }) => {
      tensors.get(`${Q}.lora_B.weight`)!.data[5] = value;
    });
    await expect(readAdapter(unreal)).rejects.toMatchObject({
      message: expect.stringContaining(`holds ${value}`),
      id: `base_model.model.${Q}.lora_B.weight`,
    });
  },
);

test('broken adapters are refused, and tensor and file are named', async () => {
  const cases: [Promise<string>, string, RegExp][] = [
    [changed(({ tensors }) => tensors.delete(`${Q}.lora_B.weight`)), `${Q}.lora_A.weight`, /lacks its lora_B/],
    [changed(({ tensors }) => tensors.delete(`${Q}.lora_A.weight`)), `${Q}.lora_B.weight`, /lacks its lora_A/],
    [
      changed(({ tensors }) => tensors.set(`${Q}.lora_A.weight`, { shape: [2, 3], data: new Float32Array(6) })),
      `${Q}.lora_A.weight`,
      /\[2, 3\] does not fit the rank 4/,
    ],
    [
      changed(({ tensors }) => tensors.set(`${Q}.lora_magnitude_vector`, { shape: [1], data: new Float32Array(1) })),
      `base_model.model.${Q}.lora_magnitude_vector`,
      /is not a factor/,
    ],
    [changed(() => {}, ''), 'model.layers.0', /is not a factor/],
  ];
  for (const [path, id, reason] of cases) {
    const error: unknown = await readAdapter(await path).catch((fault: unknown) => fault);
    expect(error).toBeInstanceOf(ModelError);
    expect(error).toMatchObject({
      file: join(await path, 'adapter_model.safetensors'),
      id: expect.stringContaining(id),
      message: expect.stringMatching(reason),
    });
  }
});

test('refuses to merge an adapter of another model', async () => {
  const base = await openCheckpoint(BASE);
  const wide = await changed(({ tensors }) =>
    tensors.set(`${Q}.lora_A.weight`, { shape: [4, 5], data: new Float32Array(20) }),
  );
  const adapter = await readAdapter(wide);
  expect(() => mergedCheckpoint(base, adapter)).toThrow(/B A is \[\d+, 5\]/);
  const other = await readAdapter(join(GOLDENS, 'plain'));
  for (const factor of ['A', 'B']) {
    const name = `lora_${factor}.weight`;
    other.tensors.set(`lm_head.${name}`, other.tensors.get(`${Q}.${name}`)!);
  }
  const tied = {
    ...base,
    path: base.path,
    tensors: () => base.tensors().filter(({ name }) => name !== 'lm_head.weight'),
  };
  expect(() => mergedCheckpoint(tied, other)).toThrow(/ties lm_head to its embedding/);
  await base.close();
});

test('missing files, and folders that hold other files', async () => {
  await expect(readAdapter(folder)).rejects.toThrow(/holds no adapter_config.json/);
  const half = await mkdtemp(join(folder, 'half-'));
  await copyFile(join(GOLDENS, 'plain', 'adapter_config.json'), join(half, 'adapter_config.json'));
  await expect(readAdapter(half)).rejects.toMatchObject({ file: join(half, 'adapter_model.safetensors') });
  await writeFile(join(half, 'notes.txt'), 'mine');
  const adapter = await readAdapter(join(GOLDENS, 'plain'));
  await expect(writeAdapter(half, adapter)).rejects.toThrow(UsageError);
  expect(await readFile(join(half, 'notes.txt'), 'utf8')).toBe('mine');
});
