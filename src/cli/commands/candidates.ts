import { dirname, join } from 'node:path';
import { z } from 'zod';
import { openTrainingSource } from '../../data/index.ts';
import {
  CANDIDATE_SAMPLES,
  CANDIDATE_TEMPERATURES,
  type CandidateResult,
  type Generator,
  sampleCandidates,
  textWarnings,
} from '../../generate/index.ts';
import { counted } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { writtenRecords } from '../command-files.ts';
import { numberList } from '../number-list.ts';
import { choosePrompt, forceOption, generatorOptions, openGenerator } from '../open-generator.ts';
import { trainingSourceOptions } from '../training-source-options.ts';

const { temperature: _replaced, ...writing } = generatorOptions;

const options = z.object({
  ...trainingSourceOptions,
  out: z
    .string()
    .optional()
    .describe('file to write (default: candidates.jsonl in the folder of the data)')
    .meta({ valueName: 'FILE' }),
  ...writing,
  samples: z.coerce.number().int().min(1).default(CANDIDATE_SAMPLES).describe('candidates per temperature'),
  temperatures: numberList({ from: 0, to: 10, what: 'temperatures' })
    .prefault(CANDIDATE_TEMPERATURES.join(','))
    .describe('comma-separated sampling temperatures')
    .meta({ valueName: 'LIST' }),
  force: forceOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'candidates',
  summary: 'sample many expansions of each training query, for `reward` to score',
  description:
    'Writes candidates.jsonl, query by query. If interrupted, the same command resumes with the missing texts. It refuses to mix\nsettings: candidates.manifest.json records those it started with. Exact duplicates among the candidates of a query are\nmarked. The defaults are the published settings: 8 samples at each of four temperatures, top-p 0.9.',
  options,
  examples: [
    ['llm-qe candidates --dataset data/wordnet --limit 500 --max-tokens 64', 'for 500 queries of the train split'],
    [
      'llm-qe candidates --triples echo/dpo.jsonl --generator http://a:8000 --generator http://b:8000',
      'on two servers',
    ],
    ['llm-qe candidates --dataset data/nq --samples 4 --temperatures 0.7,1', '4 at each of two temperatures'],
  ],
  files: (given) => writtenRecords(given, 'candidates.jsonl'),
  async run(given, context) {
    const source = await openTrainingSource({ ...given, withGold: false, signal: context.signal });
    const prompt = await choosePrompt(given);
    // If the server can return several samples per call, it computes the prompt only once.
    const generator = await openGenerator(given, context, { useN: true });
    try {
      const result = await sampleCandidates({
        queries: source,
        generator,
        prompt,
        temperatures: given.temperatures,
        samples: given.samples,
        sampling: { topP: given.topP, topK: given.topK, maxTokens: given.maxTokens },
        seed: given.seed,
        out: given.out ?? join(given.dataset ?? dirname(given.triples!), 'candidates.jsonl'),
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

function print(result: CandidateResult, generator: Generator, context: CommandContext): void {
  context.json({ generator: { id: generator.id, fingerprint: generator.fingerprint }, ...result });
  const { queries, candidates, reused, duplicates, empty, cutByLength, tokens } = result;
  context.say(
    `${counted(candidates, 'candidate')} for ${counted(queries, 'query')} by ${generator.id}, ${counted(reused, 'query')} reused`,
  );
  if (result.seconds > 0)
    context.say(`${result.seconds.toFixed(1)} s, ${result.tokensPerSecond} tokens/s, ${tokens} tokens in all`);
  context.say(`${counted(duplicates, 'duplicate')}, ${empty} empty, ${cutByLength} cut at the token limit`);
  for (const warning of textWarnings(result, 'candidates')) context.warn(warning);
  if (duplicates > candidates / 2)
    context.warn(
      'more than half of the candidates are duplicates: raise the temperatures, or use a server that respects seeds',
    );
  context.say(`wrote ${result.file}`);
}
