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
 * The `config.json` of a model of the Llama family that the engine implements: gated by SiLU, no bias in the MLP, full
 * attention, plain rotary embeddings or those of Llama 3.1.
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
      /** The maximum length of a text: sliding-window attention is not implemented. */
      maxLength: Math.min(contextLength, window),
      epsilon: settings.epsilon,
      /** In Qwen2, query, key and value projections always have a bias, whatever the file says. */
      attentionBias: modelType === 'qwen2' || config.attention_bias,
      /** Llama's `attention_bias` includes the output projection. */
      outputBias: modelType !== 'qwen2' && config.attention_bias,
      /** Qwen3 normalises each head's query and key. */
      normalizesHeads: modelType === 'qwen3',
      tied: settings.tied,
      rotary: frequencies(settings),
    };
  });

/** The checked settings of a model of the Llama family, with the engine's names. */
export type LlamaConfig = z.output<typeof llamaConfigSchema>;

function frequencies({ ropeTheta, ropeScaling, headDimension }: LanguageConfig): RotaryFrequencies {
  const factors = ropeScaling && llama3Factors(llama3ScalingSchema.parse(ropeScaling), ropeTheta, headDimension);
  const inverse = Float32Array.from({ length: headDimension / 2 }, (_, pair) => {
    return ropeTheta ** ((-2 * pair) / headDimension) / (factors?.[pair] ?? 1);
  });
  return { inverse, scale: 1 };
}
