import { z } from 'zod';
import {
  describeMisfit,
  type LanguageConfig,
  languageConfigOf,
  languageConfigSchema,
  llama3Factors,
  llama3ScalingSchema,
} from '../../models/index.ts';
import type { RotaryFrequencies } from '../operations/index.ts';

const stated = languageConfigSchema.shape;
const scaling = z
  .discriminatedUnion('rope_type', [z.looseObject({ rope_type: z.literal('default') }), llama3ScalingSchema.loose()])
  .nullish();

/**
 * The `config.json` of a model of the Llama family that the engine computes: gated by SiLU, no bias in the MLP, full
 * attention, plain or Llama 3.1's rotary embeddings.
 */
export const llamaConfigSchema = languageConfigSchema
  .extend({
    hidden_act: stated.hidden_act.pipe(z.literal('silu')),
    mlp_bias: stated.mlp_bias.pipe(z.literal(false)),
    use_sliding_window: stated.use_sliding_window.pipe(z.literal(false)),
    rope_scaling: stated.rope_scaling.pipe(scaling),
    rope_parameters: stated.rope_parameters.pipe(scaling),
  })
  .superRefine((config, context) => {
    const misfit = describeMisfit(config);
    if (misfit !== undefined) context.addIssue({ code: 'custom', message: misfit });
  })
  .transform((config) => {
    const settings = languageConfigOf(config);
    const { modelType, contextLength, headDimension } = settings;
    const window = modelType === 'mistral' ? (config.sliding_window ?? Number.POSITIVE_INFINITY) : Infinity;
    return {
      vocabulary: settings.vocabularySize,
      hidden: settings.hiddenSize,
      intermediate: settings.innerSize,
      layers: settings.layers,
      heads: settings.heads,
      keyHeads: settings.keyHeads,
      headSize: headDimension,
      /** Longest text: beyond a sliding window attention would have to forget. */
      maxLength: Math.min(contextLength, window),
      epsilon: settings.epsilon,
      /** Query, key and value projections have a bias in Qwen2 whatever the file says. */
      attentionBias: modelType === 'qwen2' || config.attention_bias,
      /** Llama's `attention_bias` means the output projection too. */
      outputBias: modelType !== 'qwen2' && config.attention_bias,
      /** Qwen3 normalises each head's query and key. */
      normalizesHeads: modelType === 'qwen3',
      tied: settings.tied,
      rotary: frequencies(settings),
    };
  });

/** A model of the Llama family, its settings checked and named as the engine uses them. */
export type LlamaConfig = z.output<typeof llamaConfigSchema>;

function frequencies({ ropeTheta, ropeScaling, headDimension }: LanguageConfig): RotaryFrequencies {
  const factors = ropeScaling && llama3Factors(llama3ScalingSchema.parse(ropeScaling), ropeTheta, headDimension);
  const inverse = Float32Array.from({ length: headDimension / 2 }, (_, pair) => {
    return ropeTheta ** ((-2 * pair) / headDimension) / (factors?.[pair] ?? 1);
  });
  return { inverse, scale: 1 };
}
