import { describe, expect, it } from 'vitest';
import { ModelError } from '../../system/index.ts';
import { checkHyperparameters } from './gguf-hyperparameters.ts';

const GOOD = {
  'general.architecture': 'llama',
  'llama.block_count': 2,
  'llama.context_length': 256n,
  'llama.embedding_length': 32,
  'llama.feed_forward_length': 64,
  'llama.attention.head_count': 4,
  'llama.attention.head_count_kv': 2,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
  'llama.rope.freq_base': 10_000,
  'llama.attention.causal': true,
};
const TENSORS = [{ name: 'blk.0.ffn_up.weight', dtype: 'F32', shape: [64, 32] }];

describe('checkHyperparameters', () => {
  it('lets models pass, also with numbers for each layer and of families it does not know', () => {
    checkHyperparameters('x', GOOD, TENSORS);
    checkHyperparameters(
      'x',
      { ...GOOD, 'llama.feed_forward_length': [64, 0], 'llama.attention.head_count_kv': [2, 0] },
      TENSORS,
    );
    checkHyperparameters(
      'x',
      { 'general.architecture': 'mamba', 'mamba.feed_forward_length': 0, 'mamba.attention.head_count': 0 },
      [],
    );
    checkHyperparameters('x', { 'general.architecture': 'clip' }, []);
  });

  it.each([
    ['feed_forward_length', 0],
    ['feed_forward_length', 1],
    ['feed_forward_length', -5],
    ['feed_forward_length', 63],
    ['attention.head_count', 0],
    ['attention.head_count_kv', 0],
    ['attention.head_count_kv', 3],
    ['attention.layer_norm_rms_epsilon', Number.NaN],
    ['attention.layer_norm_rms_epsilon', -1],
    ['attention.layer_norm_rms_epsilon', Number.POSITIVE_INFINITY],
    ['block_count', 0],
    ['block_count', 1e8],
    ['embedding_length', 2 ** 31],
    ['context_length', 0n],
    ['rope.freq_base', Number.NaN],
    ['rope.dimension_count', 0],
    ['expert_used_count', 4],
    ['attention.head_count', 'four'],
  ])('refuses %s %s', (key, value) => {
    const check = () => checkHyperparameters('x.gguf', { ...GOOD, [`llama.${key}`]: value }, TENSORS);
    expect(check).toThrow(ModelError);
    expect(check).toThrow(`x.gguf: llama.${key} is `);
  });
});
