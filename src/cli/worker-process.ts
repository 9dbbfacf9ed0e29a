import { z } from 'zod';
import { answerTasks, type Engine } from '../distribute/index.ts';
import { ModelStore } from '../models/index.ts';
import { defaultRetrievalSettings, openEncoder } from '../retrieve/index.ts';
import { generatorOptions, logProbabilitiesOption, openGenerator } from './open-generator.ts';
import { type EncoderChoice, encoderOptions } from './several-machines.ts';

/**
 * The process of `llm-qe worker` that holds the model: it is started by the worker, and opens what the worker's options say.
 */
const choiceSchema = z.union([
  z.object({ generator: z.record(z.string(), z.unknown()) }),
  z.object({ encoder: z.record(z.string(), z.unknown()) }),
]);

await answerTasks(async (options): Promise<Engine> => {
  const choice = choiceSchema.parse(options);
  const signal = new AbortController().signal;
  const progress = { task: () => ({ advance() {}, skip() {}, note() {}, done() {} }) };
  if ('generator' in choice) {
    const { chatTemplateKwargs, ...words } = choice.generator;
    const given = z
      .object({ ...generatorOptions, ...logProbabilitiesOption })
      .omit({ chatTemplateKwargs: true })
      .parse(words);
    const kwargs = chatTemplateKwargs as Record<string, unknown> | undefined;
    return { generator: await openGenerator({ ...given, chatTemplateKwargs: kwargs }, { signal, progress }) };
  }
  const given: EncoderChoice = z.object(encoderOptions).parse(choice.encoder);
  const store = new ModelStore({ offline: given.offline });
  return { encoder: await openEncoder({ ...defaultRetrievalSettings(), ...given }, store, signal) };
});
