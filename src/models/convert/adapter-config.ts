import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import { numbers } from '../formats/network-bounds.ts';
import { matchesPattern } from './safe-pattern.ts';

/** Beyond it every weight would be noise. */
const alpha = z.number().min(-1e6).max(1e6);
const MOST_PATTERNS = 10_000;
const patterns = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string(), value)
    .refine((all) => Object.keys(all).length <= MOST_PATTERNS, `more than ${MOST_PATTERNS} patterns`)
    .nullish();
/** PEFT's own defaults, for settings that an older version did not write. */
const ConfigSchema = z.looseObject({
  peft_type: z.string(),
  r: numbers.rank,
  lora_alpha: alpha,
  target_modules: z.union([z.string(), z.array(z.string())]).nullish(),
  use_rslora: z.boolean().default(false),
  rank_pattern: patterns(numbers.rank),
  alpha_pattern: patterns(alpha),
  base_model_name_or_path: z.string().nullish(),
  task_type: z.string().nullish(),
});

/** PEFT's `adapter_config.json`, with every key that it holds. */
export type LoraConfig = z.output<typeof ConfigSchema>;

/** Settings with which the adapted weights are not W + scale B A: the value that each must have, or none. */
const PLAIN: Readonly<Record<string, unknown>> = {
  use_dora: false,
  bias: 'none',
  lora_bias: false,
  fan_in_fan_out: false,
  use_qalora: false,
  modules_to_save: null,
  layer_replication: null,
  trainable_token_indices: null,
  target_parameters: null,
  alora_invocation_tokens: null,
  arrow_config: null,
  use_bdlora: null,
  kasa_config: null,
  monteclora_config: null,
};

/** Ways to begin that change the base model's weights as well; PEFT can write such adapters in the plain form. */
const BASE_CHANGED_TOO = /^(pissa|olora|corda|loftq|lora_ga)/;

/**
 * Parses `adapter_config.json`.
 * @throws ModelError where it is broken, is of another method than LoRA, or has a setting that would change the numbers in
 * a way this package does not compute
 */
export function parseLoraConfig(file: string, text: string): LoraConfig {
  let config: LoraConfig;
  try {
    config = ConfigSchema.parse(JSON.parse(text));
  } catch (cause) {
    const fix = 'Write the adapter again with PEFT, or fetch the file again.';
    throw new ModelError('is not the configuration of a LoRA adapter (peft_type, r, lora_alpha)', {
      file,
      fix,
      cause,
    });
  }
  if (config.peft_type !== 'LORA') throw unsupported(file, 'peft_type', config.peft_type);
  for (const [key, plain] of Object.entries(PLAIN)) {
    const value = config[key];
    const isEmpty = value == null || value === false || (Array.isArray(value) && value.length === 0);
    if (!isEmpty && value !== plain) throw unsupported(file, key, value);
  }
  const start = config.init_lora_weights;
  if (typeof start === 'string' && BASE_CHANGED_TOO.test(start)) throw unsupported(file, 'init_lora_weights', start);
  return config;
}

function unsupported(file: string, key: string, value: unknown): ModelError {
  return new ModelError(`${key} is ${JSON.stringify(value)?.slice(0, 100)}, and only plain LoRA can be read`, {
    file,
    id: key,
    fix: 'Merge the adapter into its model with PEFT (merge_and_unload), and use the merged model.',
  });
}

/**
 * The factor of B A for one module: alpha / r, or alpha / sqrt(r) where the adapter is rank-stabilised.
 * Papers: LoRA, arXiv 2106.09685, section 4.1; rsLoRA, arXiv 2312.03732.
 * @param module such as `model.layers.0.self_attn.q_proj`
 */
export function loraScale(config: LoraConfig, module: string): number {
  const alpha = patternValue(config.alpha_pattern, module) ?? config.lora_alpha;
  const rank = loraRank(config, module);
  return config.use_rslora ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** The rank of one module. */
export function loraRank(config: LoraConfig, module: string): number {
  return patternValue(config.rank_pattern, module) ?? config.r;
}

/** The first pattern that is the module's name or its end after a dot counts, as in PEFT's `get_pattern_key`. */
function patternValue(patterns: Record<string, number> | null | undefined, module: string): number | undefined {
  for (const [pattern, value] of Object.entries(patterns ?? {})) {
    if (endsAs(module, pattern)) return value;
  }
  return undefined;
}

function endsAs(module: string, pattern: string): boolean {
  return module === pattern || module.endsWith(`.${pattern}`) || matchesPattern(pattern, module);
}
