import { z } from 'zod';
import { UsageError } from '../../system/index.ts';
import { trainingSettingsSchema } from '../loop/training-settings.ts';
import { computeShape, loraShape } from './generator-step.ts';
import { checkLossSettings, preferenceLossShape } from './preference-losses.ts';

const whole = () => z.coerce.number<number>().int().positive();
const { schedule, metricForBest, direction } = trainingSettingsSchema.shape;

/**
 * Every setting of the training of a generator, with its default: those of the published method where it says them, those of
 * TRL and PEFT where it does not.
 */
export const generatorTrainingShape = {
  method: z
    .enum(['dpo', 'sft'])
    .default('dpo')
    .describe('learn to prefer chosen over rejected, or to write what was chosen'),
  ...preferenceLossShape,
  full: z.boolean().default(false).describe('train all weights in place of an adapter'),
  ...loraShape,
  disableDropout: z
    .boolean()
    .default(true)
    .describe("no dropout in DPO whatever --lora-dropout says, as TRL's default"),
  maxLength: whole().default(612).describe('most tokens of prompt and answer; answers are cut, prompts never'),
  learningRate: z.coerce.number<number>().positive().default(2e-5).describe('learning rate at the top of the schedule'),
  schedule,
  warmup: z.coerce
    .number<number>()
    .min(0)
    .default(0)
    .describe('steps in which the learning rate rises from 0, or their share of all steps'),
  epochs: z.coerce.number<number>().positive().default(2).describe('passes over the pairs'),
  maxSteps: whole().optional().describe('optimiser steps, in place of epochs'),
  batchSize: whole().default(16).describe('pairs an optimiser step'),
  maxGradientNorm: z.coerce.number<number>().positive().default(10).describe('clip gradients at this global norm'),
  weightDecay: z.coerce.number<number>().min(0).default(0).describe('decoupled weight decay'),
  devSize: z.coerce
    .number<number>()
    .min(0)
    .default(0.1)
    .describe('queries whose pairs are held out where there is no file of dev pairs: a number, or a share below 1'),
  evaluateEvery: whole().default(300).describe('steps between evaluations on the dev pairs'),
  saveEvery: whole().default(300).describe('steps between checkpoints'),
  patience: whole()
    .optional()
    .describe('stop after this many evaluations in a row without a new best (default: never)'),
  metricForBest,
  direction,
  keep: z.enum(['last', 'best']).default('last').describe('which checkpoint becomes the result'),
  seed: z.coerce
    .number<number>()
    .int()
    .nonnegative()
    .default(42)
    .describe('seed of the dev pairs, the order, the first adapter and dropout'),
  ...computeShape,
};

export const generatorTrainingSchema = z.strictObject(generatorTrainingShape);
export type GeneratorTrainingInput = z.input<typeof generatorTrainingSchema>;
export type GeneratorTrainingSettings = z.output<typeof generatorTrainingSchema>;

/** Fills in the defaults. @throws UsageError naming the setting */
export function parseGeneratorSettings(given: GeneratorTrainingInput): GeneratorTrainingSettings {
  const parsed = generatorTrainingSchema.safeParse(given);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new UsageError(path.length === 0 ? message : `${path.join('.')}: ${message}`, {
      fix: `The settings are ${Object.keys(generatorTrainingShape).join(', ')}.`,
    });
  }
  checkLossSettings(parsed.data);
  return parsed.data;
}
