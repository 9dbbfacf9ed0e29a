import { describe, expect, it } from 'vitest';
import { UsageError } from '../../system/index.ts';
import {
  loopSettingsOf,
  parseTrainingSettings,
  RENAMED_TRAINING_SETTINGS,
  type TrainingSettingsInput,
  trainingSettingsSchema,
} from '../loop/training-settings.ts';
import { parseTrlSettings, RENAMED_TRL_SETTINGS, type TrlSettingsInput } from '../trl/trl-settings.ts';
import {
  type GeneratorTrainingInput,
  generatorTrainingShape,
  parseGeneratorSettings,
  RENAMED_GENERATOR_SETTINGS,
} from './generator-settings.ts';
import { trainingSettings } from './train-generator.ts';

describe('the settings of a training', () => {
  it('are one schema: the generator has every setting of the loop, except what pairs decide', () => {
    const { packed: _pairsDecide, ...loop } = trainingSettingsSchema.shape;
    expect(Object.keys(generatorTrainingShape)).toEqual(expect.arrayContaining(Object.keys(loop)));
  });

  it('have the defaults of the generator if they differ, otherwise those of the loop', () => {
    const own = { learningRate: 2e-5, epochs: 2, batchSize: 16, maxGradNorm: 10, evalSteps: 300, saveSteps: 300 };
    const loop = parseTrainingSettings({ learningRate: 1 });
    expect(parseGeneratorSettings({})).toMatchObject({ ...own, microBatchTokens: 1024 });
    expect(parseGeneratorSettings({})).toMatchObject({ betas: loop.betas, epsilon: loop.epsilon, seed: loop.seed });
    expect(loop).toMatchObject({ epochs: 1, saveSteps: 100 });
    expect(loop).not.toHaveProperty('maxGradNorm');
  });

  it('keep their bounds under another default', () => {
    for (const wrong of [{ epochs: 0 }, { maxGradNorm: -1 }, { evalSteps: 1.5 }, { betas: [0.9, 1] }, { epsilon: 0 }]) {
      const given = wrong as GeneratorTrainingInput;
      expect(() => parseGeneratorSettings(given)).toThrow(new RegExp(`^${Object.keys(wrong)[0]}`));
    }
  });

  it('all reach the loop', () => {
    const given = {
      betas: [0.8, 0.95] as [number, number],
      epsilon: 1e-6,
      lrScheduler: 'cosine' as const,
      maxSteps: 3,
    };
    const told = trainingSettings(parseGeneratorSettings(given));
    expect(told).toMatchObject({ ...given, packed: true });
    expect(() => parseTrainingSettings(told)).not.toThrow();
    expect(loopSettingsOf({ learningRate: 1, beta: 0.1 } as TrainingSettingsInput)).toEqual({ learningRate: 1 });
  });

  it.each([
    ...Object.entries(RENAMED_TRAINING_SETTINGS).map(([before, now]) => ['the loop', before, now] as const),
    ...Object.entries(RENAMED_GENERATOR_SETTINGS).map(([before, now]) => ['a generator', before, now] as const),
    ...Object.entries(RENAMED_TRL_SETTINGS).map(([before, now]) => ['TRL', before, now] as const),
  ])('of %s have the names of the field: %s is refused for %s', (of, before, now) => {
    const given = { learningRate: 1, [before]: 1 };
    const parse = () => {
      if (of === 'the loop') return parseTrainingSettings(given);
      return of === 'TRL' ? parseTrlSettings({ [before]: 1 } as TrlSettingsInput) : parseGeneratorSettings(given);
    };
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(`${before} is now called ${now}`);
  });
});
