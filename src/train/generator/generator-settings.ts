import { z } from 'zod';
import { parseSettings, type RenamedSettings, withDefaults } from '../../system/index.ts';
import { RENAMED_TRAINING_SETTINGS, trainingSettingsSchema } from '../loop/training-settings.ts';
import { computeShape, loraShape } from './generator-step.ts';
import { checkLossSettings, preferenceLossShape } from './preference-losses.ts';

/** The task packs its pairs, always: that is nothing to choose. */
const { packed: _always, ...loopShape } = trainingSettingsSchema.shape;

/**
 * Every setting of the training of a generator, with its default: those of the published method if it states them, else those of
 * TRL and PEFT.
 */
export const generatorTrainingShape = {
  method: z
    .enum(['dpo', 'sft'])
    .default('dpo')
    .describe('learn to prefer chosen over rejected, or to write what was chosen'),
  ...preferenceLossShape,
  full: z.boolean().default(false).describe('train all weights in place of an adapter'),
  ...loraShape,
  disableDropout: z.boolean().default(true).describe("no dropout in DPO whatever loraDropout says, as TRL's default"),
  maxLength: z
    .number()
    .int()
    .positive()
    .default(612)
    .describe('most tokens of prompt and answer; answers are cut, prompts never'),
  devSize: z
    .number()
    .min(0)
    .default(0.1)
    .describe('queries whose pairs are held out if there is no file of dev pairs: a number, or a share below 1'),
  ...withDefaults(
    loopShape,
    {
      ...{ learningRate: 2e-5, epochs: 2, batchSize: 16, maxGradNorm: 10 },
      ...{ microBatchTokens: 1024, evalSteps: 300, saveSteps: 300 },
    },
    {
      epochs: 'passes over the pairs; 0.5 is half a pass',
      batchSize: 'pairs per optimiser step',
      microBatchTokens: 'most tokens that go through the model together',
      maxGradNorm: 'clip gradients at this global norm',
      evalSteps: 'steps between evaluations on the dev pairs',
      seed: 'seed of the dev pairs, the order, the first adapter and dropout',
    },
  ),
  loadBestModelAtEnd: z
    .boolean()
    .default(false)
    .describe('the best checkpoint becomes the result, in place of the last one'),
  ...computeShape,
};

/** Names that settings of the training of a generator had before. */
export const RENAMED_GENERATOR_SETTINGS: RenamedSettings = { ...RENAMED_TRAINING_SETTINGS, keep: 'loadBestModelAtEnd' };

export const generatorTrainingSchema = z.strictObject(generatorTrainingShape);
export type GeneratorTrainingInput = z.input<typeof generatorTrainingSchema>;
export type GeneratorTrainingSettings = z.output<typeof generatorTrainingSchema>;

/** Fills in the defaults. @throws UsageError naming the setting */
export function parseGeneratorSettings(given: GeneratorTrainingInput): GeneratorTrainingSettings {
  const settings = parseSettings(generatorTrainingSchema, given, {
    what: "a generator's training",
    renamed: RENAMED_GENERATOR_SETTINGS,
  });
  checkLossSettings(settings);
  return settings;
}
