import { UsageError } from '../../system/index.ts';
import { warmupSteps } from '../loop/schedule.ts';
import { logNameOf } from './trl-log.ts';
import type { TrlPlan } from './trl-plan.ts';
import { accumulationSteps } from './trl-settings.ts';
import type { YamlValue } from './yaml.ts';

/** Paths inside the folder of a run, in which TRL is started. */
export const OUTPUT_FOLDER = 'output';
export const DATA_FOLDER = 'data';

/** Larger than any norm: TRL reports the gradient norm only if clipping is on. */
const NEVER_CLIP = 1e9;

/** Turns one of our settings into TRL's arguments; undefined values keep TRL's defaults. */
type Rule = (plan: TrlPlan) => Record<string, YamlValue | undefined>;

/**
 * Every training setting, and the TRL arguments it becomes (names of release 1.16: DPOConfig, SFTConfig, ModelConfig,
 * and Transformers' TrainingArguments). This is the only place that matches the two.
 */
export const TRL_ARGUMENTS: Readonly<Record<string, Rule>> = {
  // The model and its adapter.
  base: ({ model, engine }) => ({
    model_name_or_path: model,
    dtype: engine.dtype,
    bf16: engine.precision === 'bfloat16',
  }),
  loraR: ({ lora }) => ({ use_peft: true, lora_r: lora.loraR }),
  loraAlpha: ({ lora }) => ({ lora_alpha: lora.loraAlpha }),
  loraDropout: ({ lora }) => ({ lora_dropout: lora.loraDropout }),
  loraTargetModules: ({ lora }) => ({ lora_target_modules: targetModules(lora.loraTargetModules) }),
  useRslora: ({ lora }) => ({ use_rslora: lora.useRslora }),
  // TRL's SFT lacks this setting and leaves dropout on.
  disableDropout: ({ method, disableDropout }) => (method === 'dpo' ? { disable_dropout: disableDropout } : {}),
  // The examples, in the order in which they are written.
  examples: () => ({ dataset_name: `./${DATA_FOLDER}`, train_sampling_strategy: 'sequential' }),
  maxLength: ({ maxLength }) => ({ max_length: maxLength }),
  method: ({ method }) => (method === 'sft' ? { completion_only_loss: true, packing: false } : {}),
  // The loss of DPO.
  beta: ({ loss }) => ({ beta: loss?.beta }),
  lossType: ({ loss }) => ({ loss_type: loss?.lossType }),
  lossWeights: ({ loss }) => ({ loss_weights: loss?.lossWeights }),
  labelSmoothing: ({ loss }) => ({ label_smoothing: loss?.labelSmoothing }),
  // The loop.
  learningRate: ({ settings }) => ({ learning_rate: settings.learningRate }),
  lrScheduler: ({ settings }) => ({
    lr_scheduler_type: settings.lrScheduler === 'constant' ? 'constant_with_warmup' : settings.lrScheduler,
  }),
  warmupSteps: ({ settings: { lrScheduler, warmupSteps: warmup }, steps }) => ({
    warmup_steps: warmupSteps({ kind: lrScheduler, warmup, steps }),
  }),
  // Epochs also become steps: the example file holds the examples of all epochs in order.
  maxSteps: ({ steps }) => ({ max_steps: steps }),
  batchSize: ({ settings: { batchSize }, engine }) => ({
    per_device_train_batch_size: engine.perDeviceTrainBatchSize,
    per_device_eval_batch_size: engine.perDeviceTrainBatchSize,
    gradient_accumulation_steps: accumulationSteps(batchSize, engine),
  }),
  maxGradNorm: ({ settings }) => ({ max_grad_norm: settings.maxGradNorm ?? NEVER_CLIP }),
  weightDecay: ({ settings }) => ({ weight_decay: settings.weightDecay }),
  betas: ({ settings: { betas } }) => ({ adam_beta1: betas[0], adam_beta2: betas[1] }),
  epsilon: ({ settings }) => ({ adam_epsilon: settings.epsilon }),
  seed: ({ settings }) => ({ seed: settings.seed }),
  // Evaluations and checkpoints.
  evalSteps: ({ dev, evalSteps }) => (dev > 0 ? { eval_strategy: 'steps', eval_steps: evalSteps } : {}),
  // The best adapter must be a saved one, so a checkpoint is saved at each evaluation.
  saveSteps: ({ keepsBest, evalSteps, settings: { saveSteps } }) => ({
    ...{ save_strategy: 'steps', save_steps: keepsBest ? evalSteps : saveSteps, save_total_limit: 2 },
  }),
  loadBestModelAtEnd: ({ keepsBest }) => (keepsBest ? { load_best_model_at_end: true } : {}),
  metricForBestModel: ({ dev, method, settings }) =>
    dev > 0 ? { metric_for_best_model: evaluated(settings.metricForBestModel, method) } : {},
  greaterIsBetter: ({ dev, settings }) => (dev > 0 ? { greater_is_better: settings.greaterIsBetter } : {}),
  // Computation and logging.
  gradientCheckpointing: ({ engine }) => ({ gradient_checkpointing: engine.gradientCheckpointing }),
  hardware: ({ engine }) => ({ use_cpu: engine.hardware === 'cpu' }),
  log: () => ({ output_dir: OUTPUT_FOLDER, logging_steps: 1, disable_tqdm: true, report_to: 'none' }),
};

/** Settings that are not passed to TRL, and why. */
export const NOT_PASSED: Readonly<Record<string, string>> = {
  epochs: 'passed as maxSteps',
  microBatchTokens: 'affects only memory and speed; TRL uses perDeviceTrainBatchSize',
  packed: 'affects only memory and speed',
  earlyStoppingPatience: 'refused: the command line cannot stop early',
};

/**
 * Builds the complete configuration of `trl dpo` or `trl sft`.
 * @throws UsageError for a setting that TRL's command line lacks
 */
export function trlArguments(plan: TrlPlan): Record<string, YamlValue> {
  if (plan.settings.earlyStoppingPatience !== undefined) {
    throw new UsageError("earlyStoppingPatience: TRL's command line cannot stop early", {
      fix: 'Omit earlyStoppingPatience, or train with the local engine.',
    });
  }
  const all: Record<string, YamlValue> = {};
  for (const rule of Object.values(TRL_ARGUMENTS)) {
    for (const [name, value] of Object.entries(rule(plan))) if (value !== undefined) all[name] = value;
  }
  return all;
}

/** TRL passes a single name to PEFT as a pattern of the full module name; two or more are passed as names. */
function targetModules(targets: readonly string[]): string[] {
  return targets.length === 1 ? [`(.*\\.)?${targets[0]!.replaceAll('.', '\\.')}`] : [...targets];
}

function evaluated(metric: string, method: TrlPlan['method']): string {
  const name = logNameOf(metric, method);
  if (name !== undefined) return `eval_${name}`;
  throw new UsageError(`metricForBestModel: TRL does not report ${JSON.stringify(metric)}`, { fix: 'Use loss.' });
}
