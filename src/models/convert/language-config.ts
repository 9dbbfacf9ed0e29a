import { join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import { readModelJson } from '../formats/model-text-file.ts';
import { numbers } from '../formats/network-bounds.ts';
import { GGUF_ARCHITECTURES } from './gguf-names.ts';

const tokenId = z.union([numbers.tokenId, z.array(numbers.tokenId).max(1000)]).nullish();
const theta = numbers.rotary.optional();
/** Older versions use the key `type` for `rope_type`. */
const scaling = z
  .looseObject({
    rope_type: z.string().optional(),
    type: z.string().optional(),
    rope_theta: theta,
    factor: numbers.rotary.optional(),
    low_freq_factor: numbers.rotary.optional(),
    high_freq_factor: numbers.rotary.optional(),
    original_max_position_embeddings: numbers.rotary.optional(),
  })
  .transform(({ type = 'default', rope_type = type, ...rest }) => ({ ...rest, rope_type }));

/**
 * The settings used from the `config.json` of a causal language model of the Llama family (Touvron et al. 2023): Llama,
 * Mistral, Qwen2, Qwen3. Names are those of Transformers 4 (`rope_theta`, `rope_scaling`) and 5 (`rope_parameters`);
 * defaults are those of Transformers.
 */
export const languageConfigSchema = z.looseObject({
  model_type: z.enum(Object.values(GGUF_ARCHITECTURES).flat()),
  vocab_size: numbers.vocabulary,
  hidden_size: numbers.width,
  intermediate_size: numbers.innerWidth,
  num_hidden_layers: numbers.layers,
  num_attention_heads: numbers.heads,
  num_key_value_heads: numbers.heads.nullish(),
  head_dim: numbers.headWidth.nullish(),
  max_position_embeddings: numbers.tokens,
  hidden_act: z.string().default('silu'),
  rms_norm_eps: numbers.epsilon.default(1e-6),
  rope_theta: theta,
  rope_scaling: scaling.nullish(),
  rope_parameters: scaling.nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  use_sliding_window: z.boolean().default(false),
  sliding_window: numbers.tokens.nullish(),
  bos_token_id: tokenId,
  eos_token_id: tokenId,
});

type StatedConfig = z.output<typeof languageConfigSchema>;

/** The settings of a language model, independent of its file format. */
export interface LanguageConfig {
  modelType: string;
  vocabularySize: number;
  hiddenSize: number;
  innerSize: number;
  layers: number;
  heads: number;
  keyHeads: number;
  headDimension: number;
  contextLength: number;
  epsilon: number;
  ropeTheta: number;
  /** The scaling with Transformers' names ("llama3", "linear", "yarn"); undefined for plain rotary embeddings. */
  ropeScaling: Readonly<Record<string, unknown>> | undefined;
  /** Whether the output layer shares the embedding's weights. */
  tied: boolean;
  bosTokenId: number | undefined;
  eosTokenId: number | undefined;
}

/**
 * Reads the config.json of a model folder, in the form of Transformers 4 (`rope_theta`, `rope_scaling`) or 5
 * (`rope_parameters`).
 * @throws ModelError if it is missing or broken, or the family is not Llama, Mistral, Qwen2 or Qwen3
 */
export async function readLanguageConfig(folder: string): Promise<LanguageConfig> {
  const file = join(folder, 'config.json');
  return parseLanguageConfig(file, await readModelJson(file));
}

/** Checks the settings of a config.json. @throws ModelError as {@link readLanguageConfig} */
export function parseLanguageConfig(file: string, raw: unknown): LanguageConfig {
  const kind = z.looseObject({ model_type: z.string() }).safeParse(raw).data?.model_type;
  const known = Object.values(GGUF_ARCHITECTURES).flat();
  if (kind === undefined || !known.includes(kind)) {
    const fix = `Use a model of one of these types: ${known.join(', ')}.`;
    throw new ModelError(`the model type ${kind} is not supported`, { file, fix });
  }
  const parsed = languageConfigSchema.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const reason = `${issue?.path.join('.')}: ${issue?.message}`;
    throw new ModelError(reason, { file, fix: 'Download the file again.', cause: parsed.error });
  }
  const config = parsed.data;
  if (config.hidden_act !== 'silu') {
    throw new ModelError(`hidden_act is ${config.hidden_act}, not silu`, { file, fix: 'Use a model with silu.' });
  }
  const misfit = describeMisfit(config);
  if (misfit !== undefined) throw new ModelError(misfit, { file, fix: 'Download the file again.' });
  return languageConfigOf(config);
}

/** Describes which numbers of a configuration contradict each other; undefined if none do. */
export function describeMisfit(config: StatedConfig): string | undefined {
  const heads = config.num_attention_heads;
  const keys = config.num_key_value_heads ?? heads;
  if (heads % keys !== 0) return `num_attention_heads is not a multiple of num_key_value_heads (${heads} and ${keys})`;
  const width = config.head_dim ?? defaultHeadDimension(config);
  if (width % 2 === 0) return undefined;
  return `a head has ${width} numbers, but rotary embeddings need an even number`;
}

/** Converts a parsed config.json to settings, and derives those that it omits. */
export function languageConfigOf(config: StatedConfig): LanguageConfig {
  const rope = config.rope_parameters ?? config.rope_scaling;
  return {
    modelType: config.model_type,
    vocabularySize: config.vocab_size,
    hiddenSize: config.hidden_size,
    innerSize: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    keyHeads: config.num_key_value_heads ?? config.num_attention_heads,
    headDimension: config.head_dim ?? defaultHeadDimension(config),
    contextLength: config.max_position_embeddings,
    epsilon: config.rms_norm_eps,
    ropeTheta: rope?.rope_theta ?? config.rope_theta ?? 10000,
    ropeScaling: rope == null || rope.rope_type === 'default' ? undefined : rope,
    tied: config.tie_word_embeddings,
    bosTokenId: firstId(config.bos_token_id),
    eosTokenId: firstId(config.eos_token_id),
  };
}

function defaultHeadDimension(config: StatedConfig): number {
  return config.model_type === 'qwen3' ? 128 : config.hidden_size / config.num_attention_heads;
}

function firstId(id: z.output<typeof tokenId>): number | undefined {
  return Array.isArray(id) ? id[0] : (id ?? undefined);
}
