import { z } from 'zod';
import { DEFAULT_SEED, parseSettings, type RenamedSettings } from '../../system/index.ts';

/**
 * Settings of a training run, apart from the model and the data. Names and meanings follow Transformers'
 * TrainingArguments if it has the setting. The defaults are AdamW's (Loshchilov and Hutter 2019, arXiv 1711.05101).
 * Each kind of training derives its settings from these and overrides defaults with `withDefaults`.
 */
export const trainingSettingsSchema = z.strictObject({
  learningRate: z.number().positive().describe('peak learning rate'),
  lrScheduler: z.enum(['linear', 'cosine', 'constant']).default('linear').describe('learning rate schedule'),
  warmupSteps: z
    .number()
    .min(0)
    .refine((value) => value < 1 || Number.isInteger(value), 'must be a whole number of steps, or a fraction below 1')
    .default(0)
    .describe('steps over which the learning rate rises from 0; below 1, a fraction of all steps'),
  epochs: z.number().positive().default(1).describe('passes over the examples; 0.5 is half a pass'),
  maxSteps: z.number().int().positive().optional().describe('number of optimiser steps; overrides epochs'),
  batchSize: z.number().int().positive().default(16).describe('examples per optimiser step'),
  microBatchTokens: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('maximum number of tokens per forward pass (default: the complete batch)'),
  packed: z.boolean().default(false).describe('do not count padding, because the task packs its examples'),
  maxGradNorm: z.number().positive().optional().describe('clip gradients at this global norm (default: never)'),
  weightDecay: z.number().min(0).default(0).describe('decoupled weight decay, not applied to biases and norms'),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.999])
    .describe("decay rates of AdamW's two running means"),
  epsilon: z.number().positive().default(1e-8).describe("term added to AdamW's denominator"),
  evalSteps: z.number().int().positive().optional().describe('steps between evaluations (default: one epoch)'),
  saveSteps: z.number().int().positive().default(100).describe('steps between checkpoints'),
  earlyStoppingPatience: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('stop after this many evaluations in a row without a new best (default: never)'),
  metricForBestModel: z.string().default('loss').describe('evaluation metric that selects the best checkpoint'),
  greaterIsBetter: z.boolean().default(false).describe('the best checkpoint has the greatest value of that metric'),
  seed: z.number().int().nonnegative().default(DEFAULT_SEED).describe('seed of the example order and of dropout'),
});

/** Former names of training settings. */
export const RENAMED_TRAINING_SETTINGS: RenamedSettings = {
  schedule: 'lrScheduler',
  warmup: 'warmupSteps',
  maxGradientNorm: 'maxGradNorm',
  evaluateEvery: 'evalSteps',
  saveEvery: 'saveSteps',
  patience: 'earlyStoppingPatience',
  metricForBest: 'metricForBestModel',
  direction: 'greaterIsBetter',
};

/** Settings as a caller passes them; all but the learning rate have defaults. */
export type TrainingSettingsInput = z.input<typeof trainingSettingsSchema>;
export type TrainingSettings = z.output<typeof trainingSettingsSchema>;

/** Fills in the defaults. @throws UsageError naming the invalid setting */
export function parseTrainingSettings(given: TrainingSettingsInput): TrainingSettings {
  return parseSettings(trainingSettingsSchema, given, { what: 'training', renamed: RENAMED_TRAINING_SETTINGS });
}

/** Selects the loop's settings among those of a specific kind of training. */
export function loopSettingsOf(settings: TrainingSettingsInput): TrainingSettingsInput {
  const own = Object.keys(trainingSettingsSchema.shape);
  return Object.fromEntries(Object.entries(settings).filter(([name]) => own.includes(name))) as TrainingSettingsInput;
}
