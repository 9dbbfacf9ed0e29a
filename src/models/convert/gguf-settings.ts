import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { GgufValue } from '../formats/gguf-writer.ts';
import { numbers } from '../formats/network-bounds.ts';
import { GGUF_ARCHITECTURES } from './gguf-names.ts';
import type { LanguageConfig } from './language-config.ts';
import { llama3Factors, llama3ScalingSchema } from './rope-scaling.ts';

/** Returns the GGUF architecture of a model type; Mistral's is llama. */
export function ggufArchitecture({ modelType }: LanguageConfig): string {
  return Object.entries(GGUF_ARCHITECTURES).find(([, types]) => types.includes(modelType))![0];
}

/**
 * Converts a config.json to GGUF keys (docs/gguf.md of the ggml repository, "LLM").
 * @throws ModelError if llama.cpp does not implement the rotary scaling
 */
export function ggufSettings(file: string, config: LanguageConfig): Map<string, GgufValue> {
  const architecture = ggufArchitecture(config);
  const settings: [string, GgufValue][] = [
    ['vocab_size', { u32: config.vocabularySize }],
    ['block_count', { u32: config.layers }],
    ['context_length', { u32: config.contextLength }],
    ['embedding_length', { u32: config.hiddenSize }],
    ['feed_forward_length', { u32: config.innerSize }],
    ['attention.head_count', { u32: config.heads }],
    ['attention.head_count_kv', { u32: config.keyHeads }],
    ['attention.key_length', { u32: config.headDimension }],
    ['attention.value_length', { u32: config.headDimension }],
    ['attention.layer_norm_rms_epsilon', { f32: config.epsilon }],
    ['rope.dimension_count', { u32: config.headDimension }],
    ['rope.freq_base', { f32: config.ropeTheta }],
    ...scalingSettings(file, config),
  ];
  return new Map(settings.map(([key, value]) => [`${architecture}.${key}`, value]));
}

const StretchSchema = z.looseObject({
  factor: numbers.rotary,
  original_max_position_embeddings: numbers.rotary.optional(),
});

function scalingSettings(file: string, { ropeScaling, contextLength }: LanguageConfig): [string, GgufValue][] {
  const kind = ropeScaling?.rope_type;
  // Llama 3.1's scaling is stored as a tensor.
  if (ropeScaling === undefined || kind === 'llama3') return [];
  const parsed = StretchSchema.safeParse(ropeScaling);
  if (!parsed.success || (kind !== 'linear' && kind !== 'yarn')) {
    throw new ModelError(`rotary scaling of the kind ${JSON.stringify(kind)} cannot be written to GGUF`, {
      file,
      id: 'rope_scaling',
      fix: 'Use a model with plain, linear, YaRN or Llama 3.1 scaling.',
    });
  }
  const { factor, original_max_position_embeddings: original = Math.round(contextLength / factor) } = parsed.data;
  const settings: [string, GgufValue][] = [
    ['rope.scaling.type', { text: kind }],
    ['rope.scaling.factor', { f32: factor }],
  ];
  return kind === 'yarn' ? [...settings, ['rope.scaling.original_context_length', { u32: original }]] : settings;
}

/**
 * Returns the tensor `rope_freqs.weight` of a model with Llama 3.1's scaling, [headDimension / 2]; undefined for
 * others.
 * @throws ModelError if a setting of the scaling is missing
 */
export function ggufRopeFactors(file: string, config: LanguageConfig): Float32Array | undefined {
  if (config.ropeScaling?.rope_type !== 'llama3') return undefined;
  const parsed = llama3ScalingSchema.safeParse(config.ropeScaling);
  if (parsed.success) return llama3Factors(parsed.data, config.ropeTheta, config.headDimension);
  const reason = "Llama 3.1's scaling lacks a setting";
  throw new ModelError(reason, { file, id: 'rope_scaling', fix: 'Download the file again.', cause: parsed.error });
}
