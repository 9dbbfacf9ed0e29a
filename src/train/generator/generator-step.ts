import { z } from 'zod';
import { type LoraAdapter, type LoraConfig, loraScale } from '../../models/index.ts';
import {
  DEVICES,
  type Head,
  type LowRank,
  llamaModel,
  operations,
  type Parameters,
  type PlanOptions,
  TrainingStep,
} from '../../nn/index.ts';
import { UsageError } from '../../system/index.ts';
import type { GeneratorBase } from './generator-base.ts';

/** Settings of the adapter. Names follow TRL's ModelConfig; defaults are those of the published method. */
export const loraShape = {
  loraR: z.number().int().positive().default(8).describe('rank of the LoRA adapter'),
  loraAlpha: z.number().positive().default(32).describe('LoRA alpha: the adapter is scaled by alpha / r'),
  loraDropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe("fraction of the adapter's inputs dropped in training; see --disable-dropout"),
  loraTargetModules: z
    .array(z.string())
    .min(1)
    .default(['q_proj', 'v_proj'])
    .describe('linear layers with an adapter')
    .meta({ valueName: 'NAME' }),
  useRslora: z.boolean().default(false).describe('scale by alpha / sqrt(r) (rank-stabilised LoRA)'),
};
const loraSchema = z.object(loraShape);
export type LoraSettings = z.output<typeof loraSchema>;

/** How the model is computed. These settings change the result only by rounding, `storage` the most. */
export const computeShape = {
  mode: z
    .enum(['auto', 'whole', 'blocks'])
    .default('auto')
    .describe(
      'whole: all activations in memory; blocks: one layer at a time, computed twice; auto: decided by --memory',
    ),
  memory: z.number().positive().default(4).describe('maximum memory for activations in GiB'),
  storage: z
    .enum(operations.STORAGES)
    .default('f32')
    .describe('storage of frozen weights; smaller formats are rounded'),
  device: z.enum(DEVICES).default('cpu').describe('where to compute'),
};
const computeSchema = z.object(computeShape);
export type ComputeSettings = z.output<typeof computeSchema>;

export interface GeneratorStepOptions extends Omit<ComputeSettings, 'storage'> {
  /** Storage of the frozen weights. Default `f32`. */
  storage?: ComputeSettings['storage'];
  /** The low-rank adapter to train; without one, all weights are trained. */
  lora: LoraSettings | undefined;
  /** Seed of the adapter's initial values. */
  seed: number;
  /** Maximum number of tokens per forward pass. */
  microBatchTokens: number;
  /** Tokens of the longest example. */
  longest: number;
  threads: number;
  /** Folder of compiled models. */
  cache: string;
  signal?: AbortSignal | undefined;
}

/**
 * Compiles a training step of a language model, for a LoRA adapter over frozen weights or for all weights.
 * @throws UsageError if no layer has the name of a target module; ResourceError if there is not enough memory
 */
export async function openGeneratorStep(
  base: GeneratorBase,
  head: Head,
  options: GeneratorStepOptions,
): Promise<{ step: TrainingStep; parameters: Parameters }> {
  const { lora, seed, mode, memory, storage = 'f32', device, threads, cache, signal } = options;
  if (lora !== undefined) checkTargets(base, lora);
  const plan: PlanOptions = lora === undefined ? { trains: () => true } : { adapter: adapterOf(lora), storage, seed };
  return TrainingStep.open(llamaModel(base.checkpoint, base.config, plan), head, {
    ...{ mode, device, threads, cache, signal },
    fingerprint: base.fingerprint,
    memory: memory * 2 ** 30,
    largest: largestSizes(options),
  });
}

function adapterOf(lora: LoraSettings): (module: string) => LowRank | undefined {
  const config = loraConfig(lora, '');
  const { loraR: rank, loraDropout: dropout, loraTargetModules: targets } = lora;
  return (module) =>
    targets.some((target) => isTarget(module, target))
      ? { rank, scale: loraScale(config, module), dropout }
      : undefined;
}

/** Whether a target module of a LoRA adapter names a module: the whole of it, or its end after a dot, as in PEFT. */
export function isTarget(module: string, target: string): boolean {
  return module === target || module.endsWith(`.${target}`);
}

const ADAPTABLE = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

/** @throws UsageError if no linear layer has the name of a target module */
export function checkTargets(
  { checkpoint }: GeneratorBase,
  { loraTargetModules }: Pick<LoraSettings, 'loraTargetModules'>,
): void {
  const modules = checkpoint
    .tensors()
    .map(({ name }) => name.replace(/\.weight$/, ''))
    .filter((name) => ADAPTABLE.some((kind) => isTarget(name, kind)));
  for (const target of loraTargetModules) {
    if (modules.some((module) => isTarget(module, target))) continue;
    throw new UsageError(`loraTargetModules: the model has no linear layer ${JSON.stringify(target)}`, {
      fix: `Use one or more of ${ADAPTABLE.join(', ')}.`,
    });
  }
}

/**
 * Estimates the largest sizes. Rows are at least as wide as the longest example, and rarely less than two thirds full.
 */
function largestSizes({ microBatchTokens, longest }: GeneratorStepOptions): Record<string, number> {
  const tokens = Math.max(microBatchTokens, longest);
  const batch = Math.max(1, Math.ceil((1.5 * tokens) / Math.max(1, longest)) - 1);
  const pairs = Math.max(1, Math.ceil(tokens / 32));
  return { batch, sequence: longest, chunks: 1, rows: tokens, pairs, chunks·rows: tokens };
}

/** The settings as PEFT's adapter_config.json. @param base name of the model that the adapter belongs to */
export function loraConfig(lora: LoraSettings, base: string): LoraConfig {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: lora.loraR,
    lora_alpha: lora.loraAlpha,
    lora_dropout: lora.loraDropout,
    target_modules: [...lora.loraTargetModules].sort(),
    use_rslora: lora.useRslora,
    rank_pattern: {},
    alpha_pattern: {},
    bias: 'none',
    fan_in_fan_out: false,
    use_dora: false,
    modules_to_save: null,
    inference_mode: true,
    init_lora_weights: true,
  };
}

/** The trained adapter, to be written. */
export function adapterFrom(parameters: Parameters, lora: LoraSettings, base: string): LoraAdapter {
  const tensors: LoraAdapter['tensors'] = new Map();
  for (const name of parameters.names()) {
    tensors.set(name, { shape: [...parameters.shape(name)], data: parameters.get(name) });
  }
  return { config: loraConfig(lora, base), tensors };
}
