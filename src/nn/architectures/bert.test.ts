import { expect, test } from 'vitest';
import type { TensorSource } from '../weight-plan.ts';
import { buildBertEncoder } from './bert.ts';
import { bertConfigSchema } from './bert-config.ts';

const config = bertConfigSchema.parse({
  ...{ vocab_size: 10, hidden_size: 4, num_hidden_layers: 1, num_attention_heads: 2 },
  ...{ intermediate_size: 8, max_position_embeddings: 6 },
});

const SHAPES: Record<string, number[]> = {
  'embeddings.word_embeddings.weight': [10, 4],
  'embeddings.position_embeddings.weight': [6, 4],
  'embeddings.token_type_embeddings.weight': [2, 4],
  'embeddings.LayerNorm.weight': [4],
  'embeddings.LayerNorm.bias': [4],
  ...Object.fromEntries(
    ['query', 'key', 'value'].flatMap((part) => [
      [`encoder.layer.0.attention.self.${part}.weight`, [4, 4]],
      [`encoder.layer.0.attention.self.${part}.bias`, [4]],
    ]),
  ),
  'encoder.layer.0.attention.output.dense.weight': [4, 4],
  'encoder.layer.0.attention.output.dense.bias': [4],
  'encoder.layer.0.attention.output.LayerNorm.weight': [4],
  'encoder.layer.0.attention.output.LayerNorm.bias': [4],
  'encoder.layer.0.intermediate.dense.weight': [8, 4],
  'encoder.layer.0.intermediate.dense.bias': [8],
  'encoder.layer.0.output.dense.weight': [4, 8],
  'encoder.layer.0.output.dense.bias': [4],
  'encoder.layer.0.output.LayerNorm.weight': [4],
  'encoder.layer.0.output.LayerNorm.bias': [4],
};

/** Makes a checkpoint of these tensors, each filled with its index in the list. `rename` maps the names. */
function source(rename: (name: string) => string, shapes = SHAPES): TensorSource {
  const tensors = Object.entries(shapes).map(([name, shape]) => ({ name: rename(name), dtype: 'F32', shape }));
  return {
    path: 'checkpoint',
    tensors: () => tensors,
    read: async (name) => {
      const index = tensors.findIndex((tensor) => tensor.name === name);
      return new Float32Array(tensors[index]!.shape.reduce((a, b) => a * b)).fill(index);
    },
  };
}

const build = (from: TensorSource) =>
  buildBertEncoder(from, config, { pooling: 'mean', normalize: true, precision: 'f32' });

test.each<[string, (name: string) => string]>([
  ['plain', (name) => name],
  ['under "bert."', (name) => `bert.${name}`],
  [
    "by TensorFlow's gamma and beta",
    (name) => name.replace('Norm.weight', 'Norm.gamma').replace('Norm.bias', 'Norm.beta'),
  ],
])('finds tensors named %s', async (_, rename) => {
  const { graph, weights } = build(source(rename));
  expect([...graph.weights.keys()].sort()).toEqual([...weights.loaders.keys()].sort());
  const loaded: number[] = [];
  for (const [name, load] of weights.loaders) {
    const size = graph.weights.get(name)!.shape.reduce<number>((product, one) => product * Number(one), 1);
    const data = await load();
    expect(data).toHaveLength(size);
    loaded.push(...new Set(Array.from(data, Number)));
  }
  const all = Object.keys(SHAPES).map((_, index) => index);
  expect(loaded.sort((a, b) => a - b)).toEqual(all);
});

test.each(Object.keys(SHAPES))('a checkpoint without %s is refused by the name', (missing) => {
  const shapes = Object.fromEntries(Object.entries(SHAPES).filter(([name]) => name !== missing));
  expect(() => build(source((name) => name, shapes))).toThrow(`lacks tensor ${missing}`);
});

test.each(Object.keys(SHAPES))('%s with another shape is refused by the name', (name) => {
  const shapes = { ...SHAPES, [name]: [3, 5] };
  expect(() => build(source((one) => one, shapes))).toThrow(`tensor ${name} has shape [3, 5]`);
});
