import { z } from 'zod';
import { UsageError } from '../../system/index.ts';

/**
 * What decides a training run, the model and the data apart. Names and meanings follow Transformers' TrainingArguments
 * where it has the same; the defaults are AdamW's own (Loshchilov and Hutter 2019, arXiv 1711.05101).
 */
export const trainingSettingsSchema = z.strictObject({
  learningRate: z.number().positive().describe('learning rate at the top of the schedule'),
  schedule: z.enum(['linear', 'cosine', 'constant']).default('linear').describe('course of the learning rate'),
  warmup: z
    .number()
    .min(0)
    .refine((value) => value < 1 || Number.isInteger(value), 'a number of steps is whole, a share is below 1')
    .default(0)
    .describe('steps in which the learning rate rises from 0, or their share of all steps where it is below 1'),
  epochs: z.number().positive().default(1).describe('passes over the examples; 0.5 is half a pass'),
  maxSteps: z.number().int().positive().optional().describe('optimiser steps, in place of epochs'),
  batchSize: z.number().int().positive().default(16).describe('examples an optimiser step'),
  microBatchTokens: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('most tokens that go through the model together (default: the whole batch)'),
  packed: z.boolean().default(false).describe('count no padding: the task packs its examples without gaps'),
  maxGradientNorm: z.number().positive().optional().describe('clip gradients at this global norm (default: never)'),
  weightDecay: z.number().min(0).default(0).describe('decoupled weight decay; biases and norms have none'),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.999])
    .describe('decay of the two running means of AdamW'),
  epsilon: z.number().positive().default(1e-8).describe('term that keeps AdamW from dividing by zero'),
  evaluateEvery: z.number().int().positive().optional().describe('steps between evaluations (default: an epoch)'),
  saveEvery: z.number().int().positive().default(100).describe('steps between checkpoints'),
  patience: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('stop after this many evaluations in a row without a new best (default: never)'),
  metricForBest: z.string().default('loss').describe('figure of the evaluation by which the best checkpoint is chosen'),
  direction: z.enum(['lower', 'higher']).default('lower').describe('which values of that figure are better'),
  seed: z.number().int().nonnegative().default(42).describe('seed of the order of examples and of dropout'),
});

/** Settings as a caller gives them; all but the learning rate have defaults. */
export type TrainingSettingsInput = z.input<typeof trainingSettingsSchema>;
export type TrainingSettings = z.output<typeof trainingSettingsSchema>;

/** Fills in the defaults. @throws UsageError naming the setting */
export function parseTrainingSettings(given: TrainingSettingsInput): TrainingSettings {
  const parsed = trainingSettingsSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new UsageError(path.length === 0 ? message : `${path.join('.')}: ${message}`, {
    fix: `The settings of training are ${Object.keys(trainingSettingsSchema.shape).join(', ')}.`,
  });
}
