import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeModelSafetensors } from '../src/models/index.ts';
import type { TensorSource } from '../src/nn/index.ts';
import { deriveSeed, Random } from '../src/system/index.ts';

/** Half the width of a uniform distribution with standard deviation 0.02, the initial value of BERT and Llama. */
const WIDTH = 0.02 * Math.sqrt(3);

/** A `config.json` with the names of Transformers. */
export type ModelConfig = Record<string, string | number | boolean>;

/** BERT-base (Devlin et al. 2019). */
export const BERT_BASE = {
  ...{ model_type: 'bert', architectures: 'BertModel', hidden_act: 'gelu', layer_norm_eps: 1e-12 },
  ...{ vocab_size: 30522, hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 12, num_attention_heads: 12 },
  ...{ max_position_embeddings: 512, type_vocab_size: 2, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 },
};

const LLAMA = { model_type: 'llama', hidden_act: 'silu', rms_norm_eps: 1e-5, tie_word_embeddings: true };

export const SMOLLM2_135M = {
  ...LLAMA,
  ...{ vocab_size: 49152, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30, num_attention_heads: 9 },
  ...{ num_key_value_heads: 3, max_position_embeddings: 8192, rope_theta: 100000 },
};

/** The shape of Llama-3.2-1B. */
export const LLAMA_1B = {
  ...LLAMA,
  ...{ vocab_size: 128256, hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: 16, num_attention_heads: 32 },
  ...{ num_key_value_heads: 8, head_dim: 64, max_position_embeddings: 131072, rope_theta: 500000 },
};

/** Random weights that are generated when they are read, each from its name. */
export function randomModel(config: typeof BERT_BASE | typeof SMOLLM2_135M | typeof LLAMA_1B): TensorSource {
  const shapes = 'type_vocab_size' in config ? bertShapes(config) : llamaShapes(config);
  return {
    path: `random weights of ${config.num_hidden_layers} layers`,
    tensors: () => [...shapes].map(([name, shape]) => ({ name, dtype: 'F32', shape })),
    read: async (name) => draw(name, shapes.get(name)!),
  };
}

/** Writes weights and configuration in Transformers' layout. */
export async function writeRandomModel(
  folder: string,
  config: typeof BERT_BASE | typeof SMOLLM2_135M,
): Promise<string> {
  const model = randomModel(config);
  const tensors = model.tensors().map(({ name, shape }) => ({ name, shape, read: () => model.read(name) }));
  await writeModelSafetensors(folder, tensors);
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}

function draw(name: string, shape: readonly number[]): Float32Array {
  const size = shape.reduce((product, one) => product * one, 1);
  const data = new Float32Array(size);
  if (shape.length === 1) return data.fill(name.endsWith('bias') ? 0 : 1);
  const random = new Random(deriveSeed(1, name));
  for (let at = 0; at < size; at++) data[at] = (random.bits() / 2 ** 31 - 1) * WIDTH;
  return data;
}

function bertShapes(config: typeof BERT_BASE): Map<string, number[]> {
  const { hidden_size: hidden, intermediate_size: inner } = config;
  const shapes = new Map<string, number[]>();
  const norm = (name: string) => shapes.set(`${name}.weight`, [hidden]).set(`${name}.bias`, [hidden]);
  const linear = (name: string, output: number, input: number) =>
    shapes.set(`${name}.weight`, [output, input]).set(`${name}.bias`, [output]);
  shapes.set('embeddings.word_embeddings.weight', [config.vocab_size, hidden]);
  shapes.set('embeddings.position_embeddings.weight', [config.max_position_embeddings, hidden]);
  shapes.set('embeddings.token_type_embeddings.weight', [config.type_vocab_size, hidden]);
  norm('embeddings.LayerNorm');
  for (let index = 0; index < config.num_hidden_layers; index++) {
    const layer = `encoder.layer.${index}`;
    for (const part of ['query', 'key', 'value']) linear(`${layer}.attention.self.${part}`, hidden, hidden);
    linear(`${layer}.attention.output.dense`, hidden, hidden);
    norm(`${layer}.attention.output.LayerNorm`);
    linear(`${layer}.intermediate.dense`, inner, hidden);
    linear(`${layer}.output.dense`, hidden, inner);
    norm(`${layer}.output.LayerNorm`);
  }
  return shapes;
}

function llamaShapes(config: typeof SMOLLM2_135M | typeof LLAMA_1B): Map<string, number[]> {
  const { hidden_size: hidden, intermediate_size: inner, num_attention_heads: heads } = config;
  const keys = (config.num_key_value_heads * hidden) / heads;
  const shapes = new Map([['model.embed_tokens.weight', [config.vocab_size, hidden]]]);
  for (let index = 0; index < config.num_hidden_layers; index++) {
    const layer = `model.layers.${index}`;
    const matrices: [string, number, number][] = [
      ['self_attn.q_proj', hidden, hidden],
      ['self_attn.k_proj', keys, hidden],
      ['self_attn.v_proj', keys, hidden],
      ['self_attn.o_proj', hidden, hidden],
      ['mlp.gate_proj', inner, hidden],
      ['mlp.up_proj', inner, hidden],
      ['mlp.down_proj', hidden, inner],
    ];
    for (const [name, output, input] of matrices) shapes.set(`${layer}.${name}.weight`, [output, input]);
    for (const name of ['input_layernorm', 'post_attention_layernorm']) shapes.set(`${layer}.${name}.weight`, [hidden]);
  }
  return shapes.set('model.norm.weight', [hidden]);
}
