import { describe, expect, test } from 'vitest';
import { cpuSeconds } from '../../../test/support/cpu-time.ts';
import { LEAST_LANGUAGE_CONFIG } from '../../../test/support/least-language-config.ts';
import { ModelError } from '../../system/index.ts';
import { loraRank, parseLoraConfig } from './adapter-config.ts';
import { parseLanguageConfig } from './language-config.ts';

describe('a config.json', () => {
  test.each<[string, unknown]>([
    ['num_hidden_layers', 1e8],
    ['num_hidden_layers', 0],
    ['head_dim', 2147483646],
    ['head_dim', 7],
    ['hidden_size', 2 ** 40],
    ['vocab_size', 2 ** 31],
    ['intermediate_size', 1.5],
    ['num_attention_heads', 1e9],
    ['max_position_embeddings', 1e12],
    ['rms_norm_eps', -1],
    ['rms_norm_eps', 5],
    ['rope_theta', 1e300],
    ['rope_scaling', { rope_type: 'llama3', factor: 1e300, low_freq_factor: 1, high_freq_factor: 4 }],
    ['rope_scaling', { rope_type: 'linear', factor: -4 }],
    ['rope_scaling', { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 1e18 }],
    ['sliding_window', -5],
    ['bos_token_id', 2 ** 52],
    ['eos_token_id', [1, 2 ** 40]],
  ])('with %s %j is refused at once', async (key, value) => {
    const parse = () =>
      parseLanguageConfig('config.json', { ...LEAST_LANGUAGE_CONFIG, model_type: 'llama', [key]: value });
    expect(await cpuSeconds(() => expect(parse).toThrow(ModelError))).toBeLessThan(0.5);
  });
});

describe('an adapter_config.json', () => {
  const config = { peft_type: 'LORA', r: 8, lora_alpha: 16 };
  const parse = (change: object) => parseLoraConfig('adapter_config.json', JSON.stringify({ ...config, ...change }));

  test.each([
    { r: 1e9 },
    { r: -1 },
    { lora_alpha: 1e30 },
    { rank_pattern: { q_proj: 1e9 } },
    { alpha_pattern: { q_proj: -1e12 } },
  ])('with %j is refused', (change) => {
    expect(() => parse(change)).toThrow(ModelError);
  });

  const module = `model.layers.0.self_attn.${'q_proj'.repeat(12)}`;
  test.each(['([a-z._0-9]+)+!', '(a|a)*b|(.*.*.*)*!', '((\\w|_)+)+$^', `${'(x?'.repeat(30)}${')*'.repeat(30)}!`])(
    'with the pattern %s fails soon',
    async (pattern) => {
      const seconds = await cpuSeconds(() => {
        try {
          expect(loraRank(parse({ rank_pattern: { [pattern]: 4 } }), module)).toBe(8);
        } catch (error) {
          expect(error).toBeInstanceOf(ModelError);
          expect((error as ModelError).message).toContain('adapter_config.json takes more than 200 ms');
        }
      });
      expect(seconds).toBeLessThan(2);
    },
  );

  test('with a pattern of ten thousand letters is refused', () => {
    expect(() => loraRank(parse({ rank_pattern: { ['a'.repeat(10_000)]: 4 } }), module)).toThrow('longer than 1000');
  });

  test.each([
    ['q_proj', 4],
    ['layers.0.self_attn.q_proj', 4],
    ['layers\\.[0-3]\\..*q_proj', 4],
    ['k_proj|q_proj', 4],
    ['layers\\.[1-3]\\..*', 8],
    ['(?P<name>q_proj', 8],
  ])('with the pattern %s gives rank %s', (pattern, rank) => {
    expect(loraRank(parse({ rank_pattern: { [pattern]: 4 } }), 'model.layers.0.self_attn.q_proj')).toBe(rank);
  });
});
