import { z } from 'zod';
import { parseSettings, type RenamedSettings } from '../../system/index.ts';

/**
 * What decides a training run, the model and the data apart. Names and meanings are those of Transformers' TrainingArguments
 * where it has the same; the defaults are AdamW's own (Loshchilov and Hutter 2019, arXiv 1711.05101). Every training takes its
 * settings from here, with defaults of its own where they differ (`withDefaults`).
 */
export const trainingSettingsSchema = z.strictObject({
  learningRate: z.number().positive().describe('learning rate at the top of its course'),
  lrScheduler: z.enum(['linear', 'cosine', 'constant']).default('linear').describe('course of the learning rate'),
  warmupSteps: z
    .number()
    .min(0)
    .refine((value) => value < 1 || Number.isInteger(value), 'a number of steps is whole, a share is below 1')
    .default(0)
    .describe('steps in which the learning rate rises from 0, or their share of all steps if below 1'),
  epochs: z.number().positive().default(1).describe('passes over the examples; 0.5 is half a pass'),
  maxSteps: z.number().int().positive().optional().describe('optimiser steps, in place of epochs'),
  batchSize: z
    .number()
    .int()
    .positive()
    .default(16)
    .describe('examples per optimiser step, whatever they are cut into'),
  microBatchTokens: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('most tokens that go through the model together (default: the whole batch)'),
  packed: z.boolean().default(false).describe('count no padding: the task packs its examples without gaps'),
  maxGradNorm: z.number().positive().optional().describe('clip gradients at this global norm (default: never)'),
  weightDecay: z.number().min(0).default(0).describe('decoupled weight decay; biases and norms have none'),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.999])
    .describe('decay of the two running means of AdamW'),
  epsilon: z.number().positive().default(1e-8).describe('term that keeps AdamW from dividing by zero'),
  evalSteps: z.number().int().positive().optional().describe('steps between evaluations (default: an epoch)'),
  saveSteps: z.number().int().positive().default(100).describe('steps between checkpoints'),
  earlyStoppingPatience: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('stop after this many evaluations in a row without a new best (default: never)'),
  metricForBestModel: z
    .string()
    .default('loss')
    .describe('figure of the evaluation by which the best checkpoint is chosen'),
  greaterIsBetter: z.boolean().default(false).describe('the best checkpoint has the greatest value of that figure'),
  seed: z.number().int().nonnegative().default(42).describe('seed of the order of examples and of dropout'),
});

/** Names that settings of a training had before. */
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

/** Settings as a caller gives them; all but the learning rate have defaults. */
export type TrainingSettingsInput = z.input<typeof trainingSettingsSchema>;
export type TrainingSettings = z.output<typeof trainingSettingsSchema>;

/** Fills in the defaults. @throws UsageError naming the setting */
export function parseTrainingSettings(given: TrainingSettingsInput): TrainingSettings {
  return parseSettings(trainingSettingsSchema, given, { what: 'training', renamed: RENAMED_TRAINING_SETTINGS });
}

/** Those settings of a training of a certain kind that are the loop's. */
export function loopSettingsOf(settings: TrainingSettingsInput): TrainingSettingsInput {
  const own = Object.keys(trainingSettingsSchema.shape);
  return Object.fromEntries(Object.entries(settings).filter(([name]) => own.includes(name))) as TrainingSettingsInput;
}
