import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import { numbers } from '../formats/network-bounds.ts';
import { matchesPattern } from './safe-pattern.ts';

/** A larger alpha would turn every weight into noise. */
const alpha = z.number().min(-1e6).max(1e6);
const MAX_PATTERNS = 10_000;
const patterns = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string(), value)
    .refine((all) => Object.keys(all).length <= MAX_PATTERNS, `more than ${MAX_PATTERNS} patterns`)
    .nullish();
/** PEFT's defaults, for settings that an older version did not write. */
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

/** PEFT's `adapter_config.json`, including unknown keys. */
export type LoraConfig = z.output<typeof ConfigSchema>;

/** Settings that can make the adapted weights differ from W + scale B A. Each must be absent or have this value. */
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

/** Initialisations that also change the base model's weights. PEFT can save such adapters in the plain form. */
const BASE_CHANGED_TOO = /^(pissa|olora|corda|loftq|lora_ga)/;

/**
 * Parses `adapter_config.json`.
 * @throws ModelError if it is broken, uses a method other than LoRA, or has a setting with an effect that is not
 * implemented
 */
export function parseLoraConfig(file: string, text: string): LoraConfig {
  let config: LoraConfig;
  try {
    config = ConfigSchema.parse(JSON.parse(text));
  } catch (cause) {
    const fix = 'Save the adapter again with PEFT, or download the file again.';
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
  return new ModelError(`${key} is ${JSON.stringify(value)?.slice(0, 100)}, but only plain LoRA can be read`, {
    file,
    id: key,
    fix: 'Merge the adapter into its model with PEFT (merge_and_unload), and use the merged model.',
  });
}

/**
 * Returns the factor of B A for one module: alpha / r, or alpha / sqrt(r) if the adapter is rank-stabilised. Papers:
 * LoRA, arXiv 2106.09685, section 4.1; rsLoRA, arXiv 2312.03732.
 * @param module such as `model.layers.0.self_attn.q_proj`
 */
export function loraScale(config: LoraConfig, module: string): number {
  const alpha = patternValue(config.alpha_pattern, module) ?? config.lora_alpha;
  const rank = loraRank(config, module);
  return config.use_rslora ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** Returns the rank of one module. */
export function loraRank(config: LoraConfig, module: string): number {
  return patternValue(config.rank_pattern, module) ?? config.r;
}

/**
 * Returns the value of the first pattern that matches the module's name, or its end after a dot, like PEFT's
 * `get_pattern_key`.
 */
function patternValue(patterns: Record<string, number> | null | undefined, module: string): number | undefined {
  for (const [pattern, value] of Object.entries(patterns ?? {})) {
    if (endsAs(module, pattern)) return value;
  }
  return undefined;
}

function endsAs(module: string, pattern: string): boolean {
  return module === pattern || module.endsWith(`.${pattern}`) || matchesPattern(pattern, module);
}
