import { dirname, join } from 'node:path';
import { z } from 'zod';
import { openTrainingSource } from '../../data/index.ts';
import { type AnswerResult, type Generator, TASKS, textWarnings, writeAnswers } from '../../generate/index.ts';
import { counted } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { writtenRecords } from '../command-files.ts';
import { choosePrompt, forceOption, generatorOptions, openGenerator, samplingOf } from '../open-generator.ts';
import { trainingSourceOptions } from '../training-source-options.ts';

const { samples: _one, ...writing } = generatorOptions;

const options = z.object({
  ...trainingSourceOptions,
  out: z
    .string()
    .optional()
    .describe('file to write (default: answers.jsonl in the folder of the data)')
    .meta({ valueName: 'FILE' }),
  ...writing,
  task: z.enum(TASKS).default('q2a').describe('which published prompt to use; it must contain {document}'),
  prompt: z
    .string()
    .optional()
    .describe('file with your own prompt, which must contain {query} and {document}')
    .meta({ valueName: 'FILE' }),
  force: forceOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'answers',
  summary: 'have a language model answer each training query from its gold document',
  description:
    'Writes answers.jsonl, answer by answer. If interrupted, the same command resumes. It refuses to mix settings:\nanswers.manifest.json records those it started with. If an answer is empty, it is generated once more; if it is empty again,\nthe query is skipped. The end of a document that does not fit into the context is cut off. The model may be larger than the\none that is aligned.',
  options,
  examples: [
    ['llm-qe answers --dataset data/wordnet --limit 500 --max-tokens 64', 'for 500 queries of the train split'],
    ['llm-qe answers --triples echo/dpo.jsonl --generator http://localhost:8000', 'with the model on a server'],
  ],
  files: (given) => writtenRecords(given, 'answers.jsonl'),
  async run(given, context) {
    const source = await openTrainingSource({ ...given, withGold: true, signal: context.signal });
    const prompt = await choosePrompt(given);
    const generator = await openGenerator(given, context);
    try {
      const result = await writeAnswers({
        queries: source,
        generator,
        prompt,
        sampling: samplingOf(given),
        seed: given.seed,
        out: given.out ?? join(given.dataset ?? dirname(given.triples!), 'answers.jsonl'),
        force: given.force,
        signal: context.signal,
        progress: context.progress,
      });
      print(result, generator, context);
    } finally {
      await generator.close();
    }
  },
});

function print(result: AnswerResult, generator: Generator, context: CommandContext): void {
  context.json({ generator: { id: generator.id, fingerprint: generator.fingerprint }, ...result });
  const { queries, answers, reused, repeated, skipped, shortened, tokens } = result;
  context.say(`${counted(answers, 'answer')} to ${counted(queries, 'query')} by ${generator.id}, ${reused} reused`);
  if (result.seconds > 0)
    context.say(`${result.seconds.toFixed(1)} s, ${result.tokensPerSecond} tokens/s, ${tokens} tokens in all`);
  context.say(
    `${repeated} generated twice, ${counted(skipped, 'query')} skipped (empty answers), ${counted(shortened, 'document')} cut to fit`,
  );
  for (const warning of textWarnings(result, 'answers')) context.warn(warning);
  context.say(`wrote ${result.file}`);
}
