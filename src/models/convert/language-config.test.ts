import { expect, test } from 'vitest';
import { LEAST_LANGUAGE_CONFIG } from '../../../test/support/least-language-config.ts';
import { ModelError } from '../../system/index.ts';
import { parseLanguageConfig } from './language-config.ts';

const LEAST = {
  model_type: 'qwen3',
  ...LEAST_LANGUAGE_CONFIG,
};
const parse = (own: Record<string, unknown> = {}) => parseLanguageConfig('config.json', { ...LEAST, ...own });

test("missing settings get Transformers' defaults", () => {
  expect(parse()).toMatchObject({ keyHeads: 4, headDimension: 128, epsilon: 1e-6, ropeTheta: 10000, tied: false });
  expect(parse({ model_type: 'llama' }).headDimension).toBe(4);
});

test('rotary settings of Transformers 4 and 5, and of older versions', () => {
  const linear = { factor: 2, rope_type: 'linear' };
  expect(parse({ rope_theta: 5, rope_scaling: null })).toMatchObject({ ropeTheta: 5, ropeScaling: undefined });
  expect(parse({ rope_scaling: linear }).ropeScaling).toEqual(linear);
  expect(parse({ rope_scaling: { factor: 2, type: 'linear' } }).ropeScaling).toEqual(linear);
  const plain = parse({ rope_parameters: { rope_type: 'default', rope_theta: 7 } });
  expect(plain).toMatchObject({ ropeTheta: 7, ropeScaling: undefined });
});

test.each([
  [{ model_type: 'gpt2' }, /the model type gpt2 is not supported/],
  [{ hidden_act: 'gelu' }, /hidden_act is gelu, not silu/],
  [{ hidden_size: 0 }, /hidden_size: Too small/],
])('%j is refused', (own, message) => {
  expect(() => parse(own)).toThrow(ModelError);
  expect(() => parse(own)).toThrow(message);
});
