import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AbortedError, ModelError, UsageError } from '../system/index.ts';
import { readAdapter } from './convert/adapter.ts';
import { exportGgufAdapter } from './convert/adapter-to-gguf.ts';
import { exportGguf } from './convert/export-gguf.ts';
import { exportSafetensors } from './convert/export-safetensors.ts';
import { hfCheckpointOfGguf, hfConfigOfGguf } from './convert/gguf-as-hf.ts';
import { openCheckpoint } from './formats/checkpoint.ts';
import type { Checkpoint } from './formats/checkpoint-contract.ts';
import { readGgufMetadataBytes } from './formats/gguf.ts';
import { type GgufValue, writeGguf } from './formats/gguf-writer.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';

/** Tiny random models, made with Transformers (reference/architectures.py). */
const TINY = join(import.meta.dirname, '../nn/goldens');
const FAMILIES = ['llama', 'llama31', 'mistral', 'qwen2', 'qwen3'];
const ADAPTERS = join(import.meta.dirname, 'goldens', 'adapters');
const GPT2 = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true };
const DIGITS = { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, GPT2] };

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'export-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Letters, one merge and a special token: 28 tokens, fewer than the models have embeddings. */
const letters = [...'abcdefghijklmnopqrstuvwxyz'];
const TOKENIZER = {
  added_tokens: [{ id: 27, content: '<|end|>', special: true }],
  normalizer: null,
  pre_tokenizer: DIGITS,
  post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<|end|>', type_id: 0 } }] },
  model: {
    type: 'BPE',
    vocab: Object.fromEntries([...letters, 'ab'].map((token, id) => [token, id])),
    merges: ['a b'],
  },
};

/** Copies a golden model's folder and adds a small tokenizer. */
async function modelFolder(family: string, tokenizer: object = TOKENIZER): Promise<string> {
  const target = await mkdtemp(join(folder, `${family}-`));
  for (const name of ['config.json', 'model.safetensors']) await copyFile(join(TINY, family, name), join(target, name));
  await writeFile(join(target, 'tokenizer.json'), JSON.stringify(tokenizer));
  const settings = { bos_token: '<|end|>', eos_token: { content: '<|end|>' }, chat_template: '{{ messages }}' };
  await writeFile(join(target, 'tokenizer_config.json'), JSON.stringify(settings));
  await writeFile(join(target, 'notes.md'), 'mine');
  return target;
}

async function allTensors(checkpoint: Checkpoint): Promise<Map<string, Float32Array>> {
  const tensors = new Map<string, Float32Array>();
  for (const { name } of checkpoint.tensors().toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    tensors.set(name, await checkpoint.read(name));
  }
  await checkpoint.close();
  return tensors;
}

describe.each(FAMILIES)('a tiny %s', (family) => {
  test('survives the export to GGUF unchanged', async () => {
    const base = await modelFolder(family);
    const out = join(base, 'out.gguf');
    await exportGguf(out, { base, type: 'F32' });
    const gguf = await openCheckpoint(out);
    const config = JSON.parse(await readFile(join(base, 'config.json'), 'utf8'));
    const rope = config.rope_parameters ?? {};
    expect(await hfConfigOfGguf(gguf)).toMatchObject({
      model_type: family.startsWith('qwen') ? family : 'llama',
      hidden_size: config.hidden_size,
      intermediate_size: config.intermediate_size,
      num_hidden_layers: config.num_hidden_layers,
      num_key_value_heads: config.num_key_value_heads,
      head_dim: config.head_dim ?? config.hidden_size / config.num_attention_heads,
      rms_norm_eps: config.rms_norm_eps,
      rope_theta: config.rope_theta ?? rope.rope_theta,
      rope_scaling: config.rope_scaling ?? null,
      vocab_size: config.vocab_size,
      tie_word_embeddings: config.tie_word_embeddings,
      bos_token_id: 27,
    });
    const original = await allTensors(await openCheckpoint(base));
    expect(await allTensors(hfCheckpointOfGguf(gguf))).toEqual(original);
  });

  test('converts from GGUF to a Transformers folder and back to an equal file', async () => {
    const base = await modelFolder(family);
    const [first, hub, second] = ['first.gguf', 'hub', 'second.gguf'].map((name) => join(base, name)) as [
      string,
      string,
      string,
    ];
    await exportGguf(first, { base, type: 'F32' });
    await exportSafetensors(hub, { base: first });
    await exportGguf(second, { base: hub, type: 'F32' });
    const files = await Promise.all([first, second].map(openCheckpoint));
    const [a, b] = files.map((file) => ({ ...file.metadata(), 'general.name': '' }));
    expect(b).toEqual(a);
    const [left, right] = await Promise.all(files.map(allTensors));
    expect(right).toEqual(left);
    const tokenizer = await loadTokenizer(hub);
    const [ids] = await tokenizer.encodeBatch(['abc<|end|>b'], { maxLength: 99 });
    expect([...ids!]).toEqual([27, 26, 2, 27, 1]);
  });
});

test('GGUF types: matrices as requested, vectors F32, rows that do not fill blocks F16; metadata of a GGUF base is kept', async () => {
  const base = await modelFolder('llama');
  const first = join(base, 'first.gguf');
  const second = join(base, 'second.gguf');
  await exportGguf(first, { base, type: 'F16' });
  await exportGguf(second, { base: first, type: 'Q8_0' });
  const [half, eighth] = await Promise.all([first, second].map(openCheckpoint));
  expect(half!.metadata()).toMatchObject({ 'general.file_type': 1, 'tokenizer.ggml.pre': 'smollm' });
  expect(eighth!.metadata()).toEqual({ ...half!.metadata(), 'general.file_type': 7 });
  const typeOf = (file: Checkpoint, name: string) => file.tensors().find((tensor) => tensor.name === name)?.dtype;
  expect(typeOf(half!, 'blk.0.attn_q.weight')).toBe('F16');
  expect(typeOf(half!, 'blk.0.attn_norm.weight')).toBe('F32');
  expect(typeOf(eighth!, 'blk.0.attn_q.weight')).toBe('Q8_0');
  const narrow = join(base, 'narrow.gguf');
  await exportGguf(narrow, { base: await modelFolder('qwen3'), type: 'Q8_0' });
  const third = await openCheckpoint(narrow);
  expect(typeOf(third, 'blk.0.attn_q.weight')).toBe('F16');
  for (const file of [half!, eighth!, third]) await file.close();
});

test("a tokenizer's GGUF form", async () => {
  const base = await modelFolder('llama');
  await exportGguf(join(base, 'x.gguf'), { base });
  const file = await openCheckpoint(join(base, 'x.gguf'));
  const metadata = file.metadata();
  expect(metadata).toMatchObject({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.merges': ['a b'],
    'tokenizer.ggml.bos_token_id': 27,
    'tokenizer.ggml.eos_token_id': 27,
    'tokenizer.ggml.add_bos_token': true,
    'tokenizer.chat_template': '{{ messages }}',
  });
  expect((metadata['tokenizer.ggml.tokens'] as string[]).slice(26, 29)).toEqual(['ab', '<|end|>', '[PAD28]']);
  expect((metadata['tokenizer.ggml.token_type'] as number[]).slice(26, 29)).toEqual([1, 3, 5]);
  await file.close();
});

test.each<[string, object, string]>([
  ['normalizer', { normalizer: { type: 'Lowercase' } }, 'normalizer'],
  ['pre-tokenizer', { pre_tokenizer: { type: 'Whitespace' } }, 'pre_tokenizer'],
  ['model', { model: { ...TOKENIZER.model, type: 'Unigram' } }, 'model'],
  ['fallback to bytes', { model: { ...TOKENIZER.model, byte_fallback: true } }, 'model'],
  ['token beyond the embedding', { added_tokens: [{ id: 5000, content: 'far', special: false }] }, 'far'],
])('a tokenizer with another %s is refused, and nothing is written', async (_label, change, id) => {
  const base = await modelFolder('llama', { ...TOKENIZER, ...change });
  const out = join(base, 'out.gguf');
  const failing = exportGguf(out, { base });
  await expect(failing).rejects.toThrow(ModelError);
  await expect(failing).rejects.toMatchObject({ id, file: join(base, 'tokenizer.json') });
  expect(await readdir(base)).not.toContain('out.gguf');
});

test('merging into a folder: weights in any type and in shards, settings copied', async () => {
  const base = await modelFolder('llama');
  await mkdir(join(base, '1_Pooling'));
  await writeFile(join(base, '1_Pooling', 'config.json'), '{}');
  const adapter = await readAdapter(join(ADAPTERS, 'plain'));
  const whole = join(base, 'whole');
  const shards = join(base, 'shards');
  await exportSafetensors(whole, { base, adapter });
  await exportSafetensors(shards, { base, adapter, maxShardBytes: 5000, dtype: 'float16' });
  const names = await readdir(shards);
  expect(names.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name)).length).toBeGreaterThan(2);
  expect(names).toEqual(
    expect.arrayContaining(['model.safetensors.index.json', 'tokenizer.json', '1_Pooling', 'config.json']),
  );
  expect(names).not.toContain('notes.md');
  const [exact, halves] = await Promise.all(
    [whole, shards].map(async (path) => allTensors(await openCheckpoint(path))),
  );
  const plain = await allTensors(await openCheckpoint(base));
  expect([...halves!.keys()]).toEqual([...plain.keys()]);
  for (const [name, data] of exact!) {
    const isAdapted = /[qv]_proj/.test(name);
    expect(
      data.some((value, i) => value !== plain.get(name)![i]),
      name,
    ).toBe(isAdapted);
    expect(Math.max(...data.map((value, i) => Math.abs(value - halves!.get(name)![i]!)))).toBeLessThan(2e-3);
  }
  expect(JSON.parse(await readFile(join(shards, 'config.json'), 'utf8'))).toMatchObject({ torch_dtype: 'float16' });
  await expect(exportSafetensors(whole, { base })).rejects.toThrow(UsageError);
});

test('an adapter for llama.cpp: one alpha, the rest of each scale in B, query rows reordered', async () => {
  const base = await modelFolder('llama');
  const adapter = await readAdapter(join(ADAPTERS, 'patterns'));
  const out = join(base, 'adapter.gguf');
  await exportGgufAdapter(out, { base, adapter });
  const file = await openCheckpoint(out);
  expect(file.metadata()).toMatchObject({
    'general.architecture': 'llama',
    'general.type': 'adapter',
    'adapter.type': 'lora',
    'adapter.lora.alpha': 4,
  });
  // The alpha of down_proj is 6.
  const down = adapter.tensors.get('model.layers.1.mlp.down_proj.lora_B.weight')!;
  expect(await file.read('blk.1.ffn_down.weight.lora_b')).toEqual(down.data.map((value) => value * 1.5));
  const query = adapter.tensors.get('model.layers.0.self_attn.q_proj.lora_B.weight')!;
  expect(query.shape).toEqual([32, 3]);
  const turned = await file.read('blk.0.attn_q.weight.lora_b');
  // Heads of 8 rows: row 4, the first of the second half, comes second.
  expect(turned.subarray(3, 6)).toEqual(query.data.subarray(12, 15));
  await file.close();
});

test('an adapter of another model, and a broken base, are refused before anything is written', async () => {
  const base = await modelFolder('qwen2');
  const adapter = await readAdapter(join(ADAPTERS, 'plain'));
  for (const work of [
    () => exportGguf(join(base, 'a.gguf'), { base, adapter, adapterFile: 'somewhere' }),
    () => exportSafetensors(join(base, 'a'), { base, adapter, adapterFile: 'somewhere' }),
    () => exportGgufAdapter(join(base, 'b.gguf'), { base, adapter, adapterFile: 'somewhere' }),
  ]) {
    await expect(work()).rejects.toMatchObject({
      name: 'ModelError',
      file: 'somewhere',
      id: expect.stringContaining('proj'),
    });
  }
  const config = JSON.parse(await readFile(join(base, 'config.json'), 'utf8'));
  await writeFile(join(base, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 9 }));
  await expect(exportGguf(join(base, 'a.gguf'), { base })).rejects.toMatchObject({
    id: expect.stringMatching(/^model\.layers\./),
  });
  const odd = await modelFolder('llama');
  const stated = JSON.parse(await readFile(join(odd, 'config.json'), 'utf8'));
  await writeFile(join(odd, 'config.json'), JSON.stringify({ ...stated, num_attention_heads: 5 }));
  await expect(exportGguf(join(odd, 'a.gguf'), { base: odd })).rejects.toThrow(/not a multiple of num_key_value_heads/);
  await writeFile(join(base, 'config.json'), JSON.stringify({ ...config, model_type: 'gpt2' }));
  await expect(exportGguf(join(base, 'a.gguf'), { base })).rejects.toThrow(/model type gpt2/);
  expect((await readdir(base)).filter((name) => name.startsWith('.') || /^[ab]/.test(name))).toEqual([]);
});

test('refuses to overwrite the exported model', async () => {
  const base = await modelFolder('llama');
  const file = join(base, 'x.gguf');
  await exportGguf(file, { base });
  const before = await readFile(file);
  const adapter = await readAdapter(join(ADAPTERS, 'plain'));
  await expect(exportGguf(join(base, '..', basename(base), 'x.gguf'), { base: file })).rejects.toThrow(UsageError);
  await expect(exportGgufAdapter(file, { base: file, adapter })).rejects.toThrow(/would overwrite the model/);
  await expect(exportSafetensors(base, { base: file })).rejects.toThrow(UsageError);
  expect((await readFile(file)).equals(before)).toBe(true);
});

test('stopping leaves nothing behind', async () => {
  const base = await modelFolder('llama');
  const signal = AbortSignal.abort();
  await expect(exportGguf(join(base, 'x.gguf'), { base, signal })).rejects.toThrow(AbortedError);
  await expect(exportSafetensors(join(base, 'x'), { base, signal })).rejects.toThrow(AbortedError);
  expect((await readdir(base)).filter((name) => /x|^\./.test(name) && !/json|model/.test(name))).toEqual([]);
});

test('a GGUF file with a repeated name, or rows that do not fill blocks, is refused', async () => {
  const one = { name: 'a', shape: [2], type: 'F32' as const, read: async () => Float32Array.of(1, 2) };
  const out = join(folder, 'refused.gguf');
  await expect(writeGguf(out, new Map(), [one, one])).rejects.toThrow('the name appears twice');
  await expect(writeGguf(out, new Map(), [{ ...one, type: 'Q8_0' }])).rejects.toThrow('do not fill the blocks of Q8_0');
  await expect(writeGguf(out, new Map(), [{ ...one, shape: [3] }])).rejects.toThrow('does not fill the shape');
});

test('every kind of metadata survives, large vocabularies included', async () => {
  const out = join(folder, 'metadata.gguf');
  const tokens = Array.from({ length: 300_000 }, (_, id) => `token ${id} ü`);
  const metadata = new Map<string, GgufValue>([
    ['whole', { u32: 4_000_000_000 }],
    ['fraction', { f32: 0.5 }],
    ['yes', { bool: true }],
    ['text', { text: 'é🙂' }],
    ['tokens', { texts: tokens }],
    ['types', { i32s: [1, -3] }],
    ['scores', { f32s: [0.25, -8] }],
  ]);
  await writeGguf(out, metadata, []);
  const file = await openCheckpoint(out);
  const expected = {
    whole: 4_000_000_000,
    fraction: 0.5,
    yes: true,
    text: 'é🙂',
    tokens,
    types: [1, -3],
    scores: [0.25, -8],
  };
  expect(file.metadata()).toEqual(expected);
  await file.close();
  const copy = join(folder, 'metadata-copy.gguf');
  const bytes = await readGgufMetadataBytes(out);
  await writeGguf(copy, new Map([...bytes].map(([key, value]) => [key, { bytes: value }])), []);
  expect((await readFile(copy)).equals(await readFile(out))).toBe(true);
});
