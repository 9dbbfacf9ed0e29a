import { z } from 'zod';
import { inGroup, parseSettings, type RenamedSettings, withDefaults } from '../../system/index.ts';
import { RENAMED_TRAINING_SETTINGS, trainingSettingsSchema } from '../loop/training-settings.ts';
import { computeShape, loraShape } from './generator-step.ts';
import { checkLossSettings, preferenceLossShape } from './preference-losses.ts';

/** The task always packs its pairs, so this is not a setting. */
const { packed: _always, ...loopShape } = trainingSettingsSchema.shape;

/**
 * Every setting of generator training. Defaults are those of the published method if it states them, otherwise those of
 * TRL and PEFT.
 */
export const generatorTrainingShape = {
  method: z
    .enum(['dpo', 'sft'])
    .default('dpo')
    .describe('dpo: prefer chosen over rejected answers; sft: imitate the chosen ones'),
  ...inGroup('Loss:', preferenceLossShape),
  full: z.boolean().default(false).describe('train all weights instead of an adapter'),
  ...inGroup('Adapter:', loraShape),
  disableDropout: z
    .boolean()
    .default(true)
    .describe('disable dropout in DPO whatever the value of loraDropout, as TRL does by default'),
  maxLength: z
    .number()
    .int()
    .positive()
    .default(612)
    .describe('maximum number of tokens of prompt and answer; answers are truncated, prompts never'),
  devSize: z
    .number()
    .min(0)
    .default(0.1)
    .describe('queries whose pairs are held out if there is no dev file: a number, or a fraction below 1'),
  ...inGroup(
    'Schedule and optimiser:',
    withDefaults(
      loopShape,
      {
        ...{ learningRate: 2e-5, epochs: 2, batchSize: 16, maxGradNorm: 10 },
        ...{ microBatchTokens: 1024, evalSteps: 300, saveSteps: 300 },
      },
      {
        epochs: 'passes over the training pairs; 0.5 is half a pass',
        batchSize: 'pairs per optimiser step',
        microBatchTokens: 'maximum number of tokens per forward pass',
        maxGradNorm: 'clip gradients at this global norm',
        evalSteps: 'steps between evaluations on the dev pairs',
        seed: 'seed of the dev split, the order, the initial adapter and dropout',
      },
    ),
  ),
  loadBestModelAtEnd: z.boolean().default(false).describe('the result is the best checkpoint instead of the last'),
  ...inGroup('Memory and device:', computeShape),
};

/** Former names of generator training settings. */
export const RENAMED_GENERATOR_SETTINGS: RenamedSettings = { ...RENAMED_TRAINING_SETTINGS, keep: 'loadBestModelAtEnd' };

export const generatorTrainingSchema = z.strictObject(generatorTrainingShape);
export type GeneratorTrainingInput = z.input<typeof generatorTrainingSchema>;
export type GeneratorTrainingSettings = z.output<typeof generatorTrainingSchema>;

/** Fills in the defaults. @throws UsageError naming the invalid setting */
export function parseGeneratorSettings(given: GeneratorTrainingInput): GeneratorTrainingSettings {
  const settings = parseSettings(generatorTrainingSchema, given, {
    what: 'generator training',
    renamed: RENAMED_GENERATOR_SETTINGS,
  });
  checkLossSettings(settings);
  return settings;
}
