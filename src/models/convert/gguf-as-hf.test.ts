import { expect, test } from 'vitest';
import { Random } from '../../system/index.ts';
import type { Checkpoint, TensorInfo } from '../formats/checkpoint-contract.ts';
import { hfCheckpointOfGguf, hfConfigOfGguf } from './gguf-as-hf.ts';
import { llama3Factors } from './rope-scaling.ts';

const LLAMA3 = {
  rope_type: 'llama3' as const,
  factor: 32,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

/** Makes a checkpoint in memory from the shape and values of each tensor. */
function inMemory(tensors: Record<string, [number[], Float32Array]>, metadata: Record<string, unknown>): Checkpoint {
  return {
    path: 'memory.gguf',
    tensors: () => Object.entries(tensors).map(([name, [shape]]): TensorInfo => ({ name, dtype: 'F32', shape })),
    read: async (name) => tensors[name]![1],
    metadata: () => metadata,
    close: async () => {},
  };
}

function metadataOf(architecture: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  const settings = {
    block_count: 1,
    embedding_length: 8,
    feed_forward_length: 12,
    context_length: 64,
    'attention.head_count': 2,
    'attention.head_count_kv': 1,
    'attention.layer_norm_rms_epsilon': Math.fround(1e-5),
    'rope.freq_base': 500000,
    ...more,
  };
  const named = Object.entries(settings).map(([key, value]) => [`${architecture}.${key}`, value]);
  return { 'general.architecture': architecture, 'tokenizer.ggml.bos_token_id': 1, ...Object.fromEntries(named) };
}

const embedding: [number[], Float32Array] = [[5, 8], new Float32Array(40)];
const column = (...values: number[]): [number[], Float32Array] => [[values.length], Float32Array.from(values)];

test('restores the order of query and key rows in Transformers, for llama only', async () => {
  // Two heads of four rows; GGUF pairs rows 2j and 2j + 1, Transformers rows j and j + 2.
  const tensors = {
    'token_embd.weight': embedding,
    'blk.0.attn_q.bias': column(0, 2, 1, 3, 10, 12, 11, 13),
    'blk.0.attn_k.bias': column(0, 2, 1, 3),
    'blk.0.attn_v.bias': column(0, 2, 1, 3),
  };
  const llama = hfCheckpointOfGguf(inMemory(tensors, metadataOf('llama')));
  const name = (module: string) => `model.layers.0.self_attn.${module}_proj.bias`;
  expect([...(await llama.read(name('q')))]).toEqual([0, 1, 2, 3, 10, 11, 12, 13]);
  expect([...(await llama.read(name('k')))]).toEqual([0, 1, 2, 3]);
  expect([...(await llama.read(name('v')))]).toEqual([0, 2, 1, 3]);
  const names = ['model.embed_tokens.weight', name('q'), name('k'), name('v')];
  expect(llama.tensors().map((tensor) => tensor.name)).toEqual(names);
  const qwen = hfCheckpointOfGguf(inMemory(tensors, metadataOf('qwen2')));
  expect([...(await qwen.read(name('q')))]).toEqual([0, 2, 1, 3, 10, 12, 11, 13]);
  await expect(qwen.read('lm_head.weight')).rejects.toMatchObject({ id: 'lm_head.weight' });
});

test('rows of a matrix move as units', async () => {
  const random = new Random(5);
  const weight = Float32Array.from({ length: 64 }, () => random.normal());
  const view = hfCheckpointOfGguf(
    inMemory({ 'token_embd.weight': embedding, 'blk.0.attn_q.weight': [[8, 8], weight] }, metadataOf('llama')),
  );
  const read = await view.read('model.layers.0.self_attn.q_proj.weight');
  // Row 2 of the first head (its second half's first row) is row 1 of the file.
  expect(read.subarray(16, 24)).toEqual(weight.subarray(8, 16));
  expect(read.subarray(8, 16)).toEqual(weight.subarray(16, 24));
});

test('derives the configuration from metadata and tensors', async () => {
  const config = await hfConfigOfGguf(inMemory({ 'token_embd.weight': embedding }, metadataOf('llama')));
  expect(config).toEqual({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: 5,
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 4,
    max_position_embeddings: 64,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    rope_scaling: null,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: null,
  });
});

test("recovers Llama 3.1's scaling from the factors, and untied and wide heads from the file", async () => {
  const factors: [number[], Float32Array] = [[32], llama3Factors(LLAMA3, 500000, 64)];
  const tensors = { 'token_embd.weight': embedding, 'output.weight': embedding, 'rope_freqs.weight': factors };
  const file = inMemory(tensors, metadataOf('llama', { 'attention.key_length': 64 }));
  expect(await hfConfigOfGguf(file)).toMatchObject({ rope_scaling: LLAMA3, head_dim: 64, tie_word_embeddings: false });
  expect(
    hfCheckpointOfGguf(file)
      .tensors()
      .map(({ name }) => name),
  ).toEqual(['model.embed_tokens.weight', 'lm_head.weight']);
  factors[1][20] = 3;
  await expect(hfConfigOfGguf(file)).rejects.toMatchObject({ id: 'rope_freqs.weight' });
});

test('linear and YaRN scaling are passed on', async () => {
  const more = { 'rope.scaling.type': 'yarn', 'rope.scaling.factor': 4, 'rope.scaling.original_context_length': 16 };
  const config = await hfConfigOfGguf(inMemory({ 'token_embd.weight': embedding }, metadataOf('qwen3', more)));
  expect(config.rope_scaling).toEqual({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 });
  expect(config.model_type).toBe('qwen3');
});

test.each<[string, Record<string, unknown>, string, RegExp]>([
  ['another architecture', metadataOf('gemma3'), 'token_embd.weight', /the architecture gemma3/],
  ['experts', metadataOf('llama', { expert_count: 8 }), 'token_embd.weight', /llama\.expert_count/],
  ['half a rotary embedding', metadataOf('llama', { 'rope.dimension_count': 2 }), 'token_embd.weight', /2 of 4 values/],
  [
    'heads per layer',
    metadataOf('llama', { 'attention.head_count_kv': [1, 2] }),
    'token_embd.weight',
    /differs between layers/,
  ],
  [
    'no number of heads',
    metadataOf('llama', { 'attention.head_count': undefined }),
    'token_embd.weight',
    /lacks this setting/,
  ],
  ['an unknown tensor', metadataOf('llama'), 'blk.0.ffn_gate_inp.weight', /no such tensor/],
])('a file with %s is refused', (_label, metadata, tensor, reason) => {
  expect(() => hfCheckpointOfGguf(inMemory({ [tensor]: embedding }, metadata))).toThrow(reason);
});
