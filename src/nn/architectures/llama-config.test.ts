import { expect, test } from 'vitest';
import { LEAST_LANGUAGE_CONFIG } from '../../../test/support/least-language-config.ts';
import { llamaConfigSchema } from './llama-config.ts';

const LEAST = {
  model_type: 'llama',
  ...LEAST_LANGUAGE_CONFIG,
};
const LLAMA3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };

test.each([
  [{ model_type: 'gpt2' }, 'model_type', /expected one of "llama"\|"mistral"\|"qwen2"\|"qwen3"/],
  [{ hidden_act: 'gelu' }, 'hidden_act', /expected "silu"/],
  [{ mlp_bias: true }, 'mlp_bias', /expected false/],
  [{ use_sliding_window: true }, 'use_sliding_window', /expected false/],
  [{ rope_scaling: { type: 'linear', factor: 2 } }, 'rope_scaling.rope_type', /Expected 'default' \| 'llama3'/],
  [{ rope_parameters: LLAMA3 }, 'rope_parameters.original_max_position_embeddings', /expected number/],
  [{ num_key_value_heads: 3 }, '', /num_attention_heads is not a multiple of num_key_value_heads/],
])('refuses %j, which the engine does not implement', (own, path, message) => {
  const [issue] = llamaConfigSchema.safeParse({ ...LEAST, ...own }).error!.issues;
  expect(issue!.path.join('.')).toBe(path);
  expect(issue!.message).toMatch(message);
});

test("family differences: Qwen3's heads of 128, Qwen2's biases, the window of Mistral only", () => {
  const read = (own: Record<string, unknown>) => llamaConfigSchema.parse({ ...LEAST, ...own });
  expect(read({})).toMatchObject({ headSize: 4, keyHeads: 4, attentionBias: false, normalizesHeads: false });
  expect(read({ model_type: 'qwen3' })).toMatchObject({ headSize: 128, normalizesHeads: true });
  expect(read({ model_type: 'qwen2' })).toMatchObject({ attentionBias: true, outputBias: false });
  expect(read({ attention_bias: true })).toMatchObject({ attentionBias: true, outputBias: true });
  expect(read({ model_type: 'mistral', sliding_window: 32 }).maxLength).toBe(32);
  expect(read({ model_type: 'qwen2', sliding_window: 32 }).maxLength).toBe(128);
});

test("reads the base of the rotary frequencies, alone or in Llama 3.1's scaling", () => {
  const scaling = { ...LLAMA3, original_max_position_embeddings: 64 };
  const inverse = (own: Record<string, unknown>) => llamaConfigSchema.parse({ ...LEAST, ...own }).rotary.inverse;
  const stretched = inverse({ rope_theta: 500, rope_scaling: scaling });
  expect(inverse({ rope_parameters: { ...scaling, rope_theta: 500 } })).toEqual(stretched);
  expect(stretched).not.toEqual(inverse({ rope_theta: 500 }));
});
