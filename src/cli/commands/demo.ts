import { dirname } from 'node:path';
import { z } from 'zod';
import { TABLE_MEASURES, verdictOn } from '../../evaluate/index.ts';
import { DEFAULT_GENERATOR } from '../../models/index.ts';
import { type DemoResult, type DemoSettings, runDemo } from '../../pipeline/index.ts';
import { defaultRetrievalSettings, offlineOption } from '../../retrieve/index.ts';
import { counted, DEFAULT_SEED, shellWord, shortPath, UsageError } from '../../system/index.ts';
import { answerGenerator, answerGeneratorOverrides } from '../answer-generator.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { generatorOptions } from '../open-generator.ts';
import { comparisonTable, sayVerdict } from '../print-comparisons.ts';
import { runAlignment } from '../run-alignment.ts';
import { formatTable } from '../table.ts';

const MEASURES = ['nDCG@10', 'Recall@100', 'MRR@10'];

/** The two sizes of the demo. */
const SIZES = {
  full: { corpus: 20_000, splits: { train: 400, dev: 300, test: 1000 }, evaluated: 200 },
  fast: { corpus: 2_000, splits: { train: 40, dev: 40, test: 40 }, evaluated: 40 },
};

/** The values of the recipe demo: alpha is what its development queries chose for the unaligned LLM (docs/study-alignment.md). */
const MAX_TOKENS = 32;
const ALPHA = 0.8;

const options = z.object({
  fast: z.boolean().default(false).describe('use a small data set: takes less than two minutes'),
  align: z
    .boolean()
    .default(false)
    .describe(
      'run the recipe demo (with --fast: smoke): align the LLM to the encoder, and compare raw, zero-shot, SFT and aligned',
    ),
  out: z
    .string()
    .optional()
    .describe('folder of the run (default: runs/demo, runs/demo-fast, runs/demo-align or runs/demo-align-fast)')
    .meta({ valueName: 'DIR' }),
  generator: z
    .string()
    .default('smollm2-135m-instruct')
    .describe('LLM: a known model or a .gguf file')
    .meta({ valueName: 'NAME' }),
  adapter: generatorOptions.adapter,
  answerGenerator,
  encoder: z
    .string()
    .default('all-minilm-l6-v2')
    .describe('encoder: a known model or a folder')
    .meta({ valueName: 'NAME' }),
  maxTokens: z.coerce
    .number()
    .int()
    .positive()
    .optional()
    .describe(`maximum number of tokens per passage (default ${MAX_TOKENS})`),
  alpha: z.coerce
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      `weight of the expansion in the query vector (default ${ALPHA}, chosen on development queries; --align tunes it itself)`,
    ),
  seed: z.coerce.number().int().nonnegative().default(DEFAULT_SEED).describe('seed of every random choice'),
  threads: z.coerce.number().int().positive().optional().describe('processor threads (default: one per core)'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'demo',
  summary: 'from nothing to a table and a report: real models, real data',
  description:
    'Downloads two small models, builds a data set from WordNet, writes an expansion for each query, searches with raw and\nwith expanded queries, and reports the effect on each query. A second run reuses the results of the first.',
  options,
  examples: [
    ['llm-qe demo', 'the complete demo, a few minutes on two cores'],
    ['llm-qe demo --fast', 'a small one, in less than two minutes'],
    ['llm-qe demo --adapter runs/demo-align/dpo-534729e640/adapter --out runs/demo-aligned', 'with a trained adapter'],
    ['llm-qe demo --align', 'align the LLM, and show the effect; about an hour on two cores'],
  ],
  async run(given, context) {
    refuseOfTheOther(given);
    if (given.align) return alignDemo(given, context);
    const settings = toSettings(given);
    const result = await runDemo(settings, { signal: context.signal, progress: context.progress });
    context.json(toJson(result));
    if (!given.json) print(result, settings, context.say);
  },
});

/** Runs `llm-qe align` with a bundled recipe. */
async function alignDemo(given: Options, context: CommandContext): Promise<void> {
  const { generator, encoder, seed } = given;
  const set = [
    `generator.model=${JSON.stringify(generator)}`,
    `encoder.model=${JSON.stringify(encoder)}`,
    `seed=${seed}`,
    ...answerGeneratorOverrides(given.answerGenerator),
  ];
  const out = given.out ?? (given.fast ? 'runs/demo-align-fast' : 'runs/demo-align');
  await runAlignment({ ...given, recipe: given.fast ? 'smoke' : 'demo', set, out, engine: 'local' }, context);
}

/** Refuses options that belong to the demo without --align, or to the one with it. @throws UsageError */
function refuseOfTheOther({ align, maxTokens, alpha, adapter, answerGenerator: answerers }: Options): void {
  const refuse = (option: string, fix: string) => {
    throw new UsageError(option, { fix });
  };
  if (!align) {
    if (answerers.length > 0) refuse('--answer-generator works only with --align', 'Add --align.');
    return;
  }
  if (maxTokens !== undefined) {
    refuse(
      '--max-tokens does not work with --align: the recipe sets the length of texts',
      'Use for example llm-qe align demo --set expansion.maxTokens=48 --set candidates.maxTokens=48.',
    );
  }
  if (alpha !== undefined) {
    refuse(
      '--alpha does not work with --align: alpha is tuned for each arm on the development queries',
      `Use llm-qe align demo --set "evaluation.alphas=[${alpha}]".`,
    );
  }
  if (adapter.length > 0) {
    refuse(
      '--adapter does not work with --align, which trains a new adapter',
      'Merge it into its base model first: llm-qe models export --to gguf.',
    );
  }
}

function toSettings(given: Options): DemoSettings {
  const size = given.fast ? SIZES.fast : SIZES.full;
  return {
    ...size,
    folder: given.out ?? (given.fast ? 'runs/demo-fast' : 'runs/demo'),
    maxTokens: given.maxTokens ?? MAX_TOKENS,
    generator: given.generator,
    encoder: given.encoder,
    adapters: given.adapter,
    alpha: given.alpha ?? ALPHA,
    alphaSource: given.alpha === undefined ? 'other queries' : 'given',
    seed: given.seed,
    threads: given.threads,
    offline: given.offline,
  };
}

function toJson({ arms, comparisons, reportFile, expansionsFile, dataFolder }: DemoResult) {
  const measures = arms.map(({ name, scores }) => [
    name,
    Object.fromEntries(TABLE_MEASURES.map((m) => [m, scores.mean[m]])),
  ]);
  return {
    arms: Object.fromEntries(measures),
    comparisons: comparisons.map((one) => ({ ...one, verdict: verdictOn(one) })),
    report: reportFile,
    expansions: expansionsFile,
    dataset: dataFolder,
  };
}

function print(result: DemoResult, settings: DemoSettings, say: (line: string) => void): void {
  const { arms, comparisons, reportFile } = result;
  const rows = arms.map(({ name, scores }) => [name, ...MEASURES.map((measure) => scores.mean[measure]!.toFixed(4))]);
  say('');
  sayVerdict(comparisons[0]!, say);
  say(`\n${counted(arms[0]!.scores.queries, 'query')} over ${counted(arms[0]!.retriever.size, 'document')}`);
  say(formatTable(['', ...MEASURES], rows));
  say('');
  say(comparisonTable(comparisons));
  say(`\nreport: ${shortPath(reportFile)}`);
  say(`next:   ${nextLine(result, settings)}`);
  say(`look:   ${studioLine(result, settings)}`);
}

/** Returns the command that shows the run, and lets its corpus be searched with the same settings, in the studio. */
export function studioLine({ dataFolder, reportFile, next }: DemoResult, settings: DemoSettings): string {
  const runs = dirname(dirname(reportFile));
  const words = ['npx', 'llm-qe', 'studio', '--runs', shortPath(runs), '--corpus', shortPath(dataFolder)];
  return [...words, ...writingWords(next, settings)].map(shellWord).join(' ');
}

/**
 * Returns a search command to try next: for a query of the report that expansion helped, with the passage that helped it
 * and the settings of the run. For any other query, the LLM writes a passage with the same settings.
 */
export function nextLine({ dataFolder, next }: DemoResult, settings: DemoSettings): string {
  const words = [
    ...['npx', 'llm-qe', 'search', '--corpus', shortPath(dataFolder), '--query', next.query, '--expand'],
    ...['--expansions', shortPath(next.queriesFile), ...writingWords(next, settings)],
  ];
  return words.map(shellWord).join(' ');
}

/** The options with which the LLM writes as in the run, and its texts weigh the same. */
function writingWords({ sampling, promptFile }: DemoResult['next'], settings: DemoSettings): string[] {
  const { temperature, topP, topK, maxTokens } = sampling;
  const defaults = z.object(generatorOptions).parse({});
  return [
    ...['--prompt', shortPath(promptFile), '--max-tokens', `${maxTokens}`, '--alpha', `${settings.alpha}`],
    ...other('--temperature', temperature, defaults.temperature),
    ...other('--top-p', topP, defaults.topP),
    ...other('--top-k', topK, defaults.topK),
    ...other('--seed', settings.seed, defaults.seed),
    ...modelWords(settings),
  ];
}

/** The options that name the models and how they run, where they are not the defaults. */
function modelWords({ generator, adapters, encoder, threads, offline }: DemoSettings): string[] {
  return [
    ...other('--generator', generator, DEFAULT_GENERATOR),
    ...adapters.flatMap((path) => ['--adapter', path]),
    ...other('--encoder', encoder, defaultRetrievalSettings().encoder),
    ...(threads === undefined ? [] : ['--threads', `${threads}`]),
    ...(offline ? ['--offline'] : []),
  ];
}

function other<T extends string | number>(name: string, value: T, usual: T): string[] {
  return value === usual ? [] : [name, `${value}`];
}
