import type { PairRecord } from '../../data/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { UsageError } from '../../system/index.ts';
import type { LoraSettings } from '../generator/generator-step.ts';
import { checkLossSettings, type PreferenceLossSettings } from '../generator/preference-losses.ts';
import { BatchPlan, totalSteps } from '../loop/batches.ts';
import { parseTrainingSettings, type TrainingSettings, type TrainingSettingsInput } from '../loop/training-settings.ts';
import { accumulationSteps, parseTrlSettings, type TrlSettings, type TrlSettingsInput } from './trl-settings.ts';

/** A training job for TRL. */
export interface TrlJob {
  /** `dpo` learns from pairs, `sft` from their chosen sides alone. */
  method: 'dpo' | 'sft';
  /** A chat model: a Transformers folder, or a GGUF file of the Llama family, which is converted into a folder. */
  base: ResolvedModel;
  pairs: {
    train: readonly PairRecord[];
    /** Held-out pairs; if there are none, there are no evaluations. */
    dev: readonly PairRecord[];
  };
  settings: TrainingSettingsInput;
  lora: LoraSettings;
  /** Of DPO alone. */
  loss?: PreferenceLossSettings | undefined;
  /** Maximum number of tokens of prompt and completion together; TRL truncates longer ones at the end. */
  maxLength: number;
  /** Disables dropout, including the adapter's, whatever `lora` says; TRL's own default is true. DPO only. */
  disableDropout: boolean;
  /** Whether the result is the adapter of the best evaluation instead of the last step. */
  loadBestModelAtEnd: boolean;
  engine?: TrlSettingsInput | undefined;
}

/** A job with all values resolved that TRL needs. */
export interface TrlPlan {
  method: TrlJob['method'];
  /** Folder of the model as passed to TRL. */
  model: string;
  settings: TrainingSettings;
  lora: LoraSettings;
  loss: PreferenceLossSettings | undefined;
  maxLength: number;
  disableDropout: boolean;
  engine: TrlSettings;
  /** Optimiser steps of the complete run. */
  steps: number;
  /** Number of examples held out. */
  dev: number;
  /** Whether the result is the adapter of the best evaluation. */
  keepsBest: boolean;
  evalSteps: number;
}

/**
 * Checks a job and computes its number of steps.
 * @throws UsageError if settings are invalid or there are no examples
 */
export function planTrl(job: Omit<TrlJob, 'base'>, model: string): TrlPlan {
  const settings = parseTrainingSettings(job.settings);
  const engine = parseTrlSettings(job.engine);
  const { train, dev } = job.pairs;
  if (train.length === 0) {
    throw new UsageError('there are no examples to train on', {
      fix: 'Check the file of pairs and the filters applied to it.',
    });
  }
  if (job.method === 'dpo' && job.loss !== undefined) checkLossSettings(job.loss);
  accumulationSteps(settings.batchSize, engine);
  const steps = Math.ceil(exampleOrder(train.length, settings).length / settings.batchSize);
  const epoch = Math.ceil(train.length / settings.batchSize);
  return {
    ...{ method: job.method, model, settings, engine, lora: job.lora, maxLength: job.maxLength },
    disableDropout: job.disableDropout,
    loss: job.method === 'dpo' ? job.loss : undefined,
    steps,
    dev: dev.length,
    keepsBest: job.loadBestModelAtEnd && dev.length > 0,
    evalSteps: Math.min(settings.evalSteps ?? epoch, steps),
  };
}

/**
 * The indices of the examples in the order of the local engine's complete run, epoch after epoch, each in its own
 * order. TRL cuts this list into batches of equal size: if the last batch of an epoch is smaller in the local engine,
 * TRL fills it from the next epoch.
 */
export function exampleOrder(examples: number, settings: TrainingSettings): number[] {
  const plan = new BatchPlan(examples, settings);
  const order: number[] = [];
  for (let step = 0; step < totalSteps(examples, settings); step++) order.push(...plan.batch(step));
  return order;
}
