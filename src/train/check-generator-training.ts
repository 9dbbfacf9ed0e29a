import type { PairRecord } from '../data/index.ts';
import type { ResolvedModel } from '../models/index.ts';
import { openGeneratorBase } from './generator/generator-base.ts';
import { checkLength } from './generator/generator-pairs.ts';
import {
  type GeneratorTrainingInput,
  type GeneratorTrainingSettings,
  parseGeneratorSettings,
} from './generator/generator-settings.ts';
import { checkTargets } from './generator/generator-step.ts';
import { trainingSettings } from './generator/train-generator.ts';
import { parseTrainingSettings } from './loop/training-settings.ts';
import { trlJobOf } from './trl/train-generator-with-trl.ts';
import { trlArguments } from './trl/trl-arguments.ts';
import { planTrl } from './trl/trl-plan.ts';
import type { TrlSettingsInput } from './trl/trl-settings.ts';

/** A placeholder for pairs that do not exist yet: the settings do not depend on their content. */
const PAIR: PairRecord = { id: 'p', queryId: 'q', ...{ prompt: [], chosen: [], rejected: [] } };

/**
 * Checks settings before any pairs exist. It refuses what training would refuse with any pairs.
 *
 * @param trl the settings of TRL's processes, if TRL trains
 * @throws UsageError naming the setting
 */
export function checkGeneratorSettings(
  given: GeneratorTrainingInput,
  { trl, hasDev }: { trl?: TrlSettingsInput | undefined; hasDev: boolean },
): GeneratorTrainingSettings {
  const settings = parseGeneratorSettings(given);
  parseTrainingSettings(trainingSettings(settings));
  if (trl !== undefined) {
    const pairs = { train: [PAIR], dev: hasDev ? [PAIR] : [] };
    trlArguments(planTrl(trlJobOf(settings, pairs, trl), ''));
  }
  return settings;
}

/**
 * Refuses settings that do not fit the model. Only the model's headers, configuration and tokenizer are read.
 * @throws UsageError naming the setting; ModelError for a model that cannot be trained
 */
export async function checkGeneratorBase(
  model: ResolvedModel,
  trainings: readonly GeneratorTrainingSettings[],
): Promise<void> {
  const base = await openGeneratorBase(model);
  try {
    for (const settings of trainings) {
      checkLength(base, settings);
      if (!settings.full) checkTargets(base, settings);
    }
  } finally {
    await base.close();
  }
}
