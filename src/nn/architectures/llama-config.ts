import { z } from 'zod';
import { llama3Factors } from '../../models/index.ts';
import type { RotaryFrequencies } from '../operations/index.ts';

const plainScaling = z.looseObject({ rope_type: z.literal('default'), rope_theta: z.number().positive().optional() });
const llama3Scaling = z.looseObject({
  rope_type: z.literal('llama3'),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive(),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: z.number().positive(),
});
const scalingSchema = z.discriminatedUnion('rope_type', [plainScaling, llama3Scaling]);

/**
 * What is used of the `config.json` of a causal language model of the Llama family (Touvron et al. 2023; names as in
 * Transformers' configurations, of release 5 and before).
 */
export const llamaConfigSchema = z
  .object({
    model_type: z.enum(['llama', 'mistral', 'qwen2', 'qwen3']),
    vocab_size: z.int().positive(),
    hidden_size: z.int().positive(),
    intermediate_size: z.int().positive(),
    num_hidden_layers: z.int().positive(),
    num_attention_heads: z.int().positive(),
    num_key_value_heads: z.int().positive().optional(),
    head_dim: z.int().positive().nullish(),
    max_position_embeddings: z.int().positive(),
    hidden_act: z.literal('silu').default('silu'),
    rms_norm_eps: z.number().positive(),
    rope_theta: z.number().positive().optional(),
    rope_scaling: scalingSchema.nullish(),
    rope_parameters: scalingSchema.nullish(),
    attention_bias: z.boolean().default(false),
    mlp_bias: z.literal(false).default(false),
    tie_word_embeddings: z.boolean().default(false),
    use_sliding_window: z.literal(false).optional(),
    sliding_window: z.int().positive().nullish(),
  })
  .refine(({ num_attention_heads: heads, num_key_value_heads: keys = heads }) => heads % keys === 0, {
    error: 'num_attention_heads is no multiple of num_key_value_heads',
  })
  .transform((config) => {
    const heads = config.num_attention_heads;
    const headSize = config.head_dim ?? config.hidden_size / heads;
    const scaling = config.rope_parameters ?? config.rope_scaling ?? undefined;
    const window = config.model_type === 'mistral' ? (config.sliding_window ?? Number.POSITIVE_INFINITY) : Infinity;
    return {
      vocabulary: config.vocab_size,
      hidden: config.hidden_size,
      intermediate: config.intermediate_size,
      layers: config.num_hidden_layers,
      heads,
      keyHeads: config.num_key_value_heads ?? heads,
      headSize,
      /** Longest text: beyond a sliding window attention would have to forget. */
      maxLength: Math.min(config.max_position_embeddings, window),
      epsilon: config.rms_norm_eps,
      /** Query, key and value projections have a bias in Qwen2 whatever the file says. */
      attentionBias: config.model_type === 'qwen2' || config.attention_bias,
      /** Llama's `attention_bias` means the output projection too. */
      outputBias: config.model_type !== 'qwen2' && config.attention_bias,
      /** Qwen3 normalises each head's query and key. */
      normalizesHeads: config.model_type === 'qwen3',
      tied: config.tie_word_embeddings,
      rotary: frequencies(scaling?.rope_theta ?? config.rope_theta ?? 10000, headSize, scaling),
    };
  });

/** A model of the Llama family, its settings checked and named as the engine uses them. */
export type LlamaConfig = z.output<typeof llamaConfigSchema>;

function frequencies(
  theta: number,
  headSize: number,
  scaling: z.output<typeof scalingSchema> | undefined,
): RotaryFrequencies {
  const factors = scaling?.rope_type === 'llama3' ? llama3Factors(scaling, theta, headSize) : undefined;
  const inverse = Float32Array.from({ length: headSize / 2 }, (_, pair) => {
    return theta ** ((-2 * pair) / headSize) / (factors?.[pair] ?? 1);
  });
  return { inverse, scale: 1 };
}
