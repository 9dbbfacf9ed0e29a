import { dirname, join } from 'node:path';
import { z } from 'zod';
import { openRetrieverSource, REFUSAL_WORDS, ROW_REFUSALS } from '../../data/index.ts';
import {
  DEV_SHARE,
  joinRetrieverData,
  type RetrieverDataResult,
  textWarnings,
  type WrittenRetrieverDataResult,
  writeRetrieverData,
} from '../../generate/index.ts';
import { counted, DEFAULT_SEED, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles, recordFiles } from '../command-files.ts';
import { choosePrompt, forceOption, generatorOptions, openGenerator, samplingOf } from '../open-generator.ts';
import { trainingSourceOptions } from '../training-source-options.ts';

const { triples: _file, ...source } = trainingSourceOptions;

const options = z.object({
  ...source,
  rows: z
    .string()
    .optional()
    .describe(
      "instead of a data set: triples, rows of the Echo data, or LLM-QE's, ExpandR's or this command's own rows",
    )
    .meta({ valueName: 'FILE' }),
  out: z
    .string()
    .optional()
    .describe('folder for retriever.jsonl and retriever-dev.jsonl (default: the folder of the data)')
    .meta({ valueName: 'DIR' }),
  expansions: z
    .string()
    .optional()
    .describe(
      'expansions that exist already, by id: expansions.jsonl, candidates.jsonl, or queries with expansions; no language model is asked',
    )
    .meta({ valueName: 'FILE' }),
  keepExpansions: z
    .boolean()
    .default(false)
    .describe('use the expansions that the rows hold, if any; no language model is asked'),
  devShare: z.coerce
    .number()
    .min(0)
    .lt(1)
    .default(DEV_SHARE)
    .describe('share of the queries that go to retriever-dev.jsonl; 0: all rows are for training'),
  devSeed: z.coerce.number().int().min(0).default(DEFAULT_SEED).describe('seed of that choice'),
  ...generatorOptions,
  force: forceOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

/** `llm-qe data retriever`: stage 9 of the method. */
export const command = defineCommand({
  name: 'data retriever',
  summary: 'expand the queries of training rows, for the training of a retriever',
  description:
    'Writes retriever.jsonl and retriever-dev.jsonl, row by row: {id, query, expansions[], positives[], negatives[]}. If interrupted,\nthe same command resumes. Rows of one query are in the same file. Rows without query or positive, and rows from document to\nquery, are left out and counted; retriever.manifest.json records the counts.',
  options,
  examples: [
    ['llm-qe data retriever --dataset data/scifact --split train', 'one passage per query, by the default model'],
    [
      'llm-qe data retriever --rows data/retriever.jsonl --out runs/data --generator http://localhost:8000',
      'for the triples of `data split`, by the model on a server',
    ],
    [
      'llm-qe data retriever --rows triples.jsonl --out runs/data --expansions expansions.jsonl',
      'with expansions that exist already',
    ],
    [
      'llm-qe data retriever --rows expandr.jsonl --out runs/data --keep-expansions',
      "published rows in this project's layout, split into train and dev",
    ],
  ],
  files: (given) => {
    const { dataset, rows, prompt, generator, adapter, expansions } = given;
    const { inputs, inputFolders } = datasetFiles(dataset);
    const [train, dev] = ['retriever.jsonl', 'retriever-dev.jsonl'].map((name) => join(folderOf(given), name));
    return {
      inputs: {
        ...{ ...inputs, '--rows': rows, '--expansions': expansions, '--prompt': prompt },
        ...modelFiles('--generator', ...generator),
        ...modelFiles('--adapter', ...adapter),
      },
      inputFolders,
      outputs: { ...recordFiles('retriever.jsonl', train!), 'retriever-dev.jsonl': dev },
      fix: 'Choose another folder (--out).',
    };
  },
  async run(given, context) {
    const { signal, progress } = context;
    refuseBoth(given);
    const isWritten = given.expansions === undefined && !given.keepExpansions;
    const source = await openRetrieverSource({ ...given, allowNoQuery: given.keepExpansions, signal });
    const { devShare, devSeed, force } = given;
    const target = {
      source,
      out: join(folderOf(given), 'retriever.jsonl'),
      devShare,
      devSeed,
      force,
      signal,
      progress,
    };
    if (!isWritten) {
      print(await joinRetrieverData({ ...target, expansions: given.expansions }), undefined, context);
      return;
    }
    const prompt = await choosePrompt(given);
    const generator = await openGenerator(given, context);
    try {
      const { samples, seed } = given;
      const sampling = samplingOf(given);
      const result = await writeRetrieverData({ ...target, generator, prompt, sampling, samples, seed });
      print(result, generator, context);
    } finally {
      await generator.close();
    }
  },
});

function folderOf({ out, dataset, rows }: Pick<Options, 'out' | 'dataset' | 'rows'>): string {
  return out ?? dataset ?? dirname(rows ?? '.');
}

function refuseBoth({ expansions, keepExpansions }: Options): void {
  if (expansions === undefined || !keepExpansions) return;
  throw new UsageError('--expansions and --keep-expansions exclude each other', { fix: 'Pass one of them.' });
}

function print(
  result: RetrieverDataResult | WrittenRetrieverDataResult,
  generator: { id: string; fingerprint: string } | undefined,
  context: CommandContext,
): void {
  const { rows, reused, expansions, withoutExpansions, source, file, devFile } = result;
  context.json({
    ...(generator && { generator: { id: generator.id, fingerprint: generator.fingerprint } }),
    ...result,
  });
  const writer = generator === undefined ? '' : ` by ${generator.id}`;
  context.say(
    `${(rows.train + rows.dev).toLocaleString('en-US')} of ${counted(source.read, 'row')} with ${counted(expansions, 'expansion')}${writer}, ${counted(reused, 'row')} reused`,
  );
  if ('texts' in result) {
    if (result.seconds > 0)
      context.say(`${result.seconds.toFixed(1)} s, ${result.tokensPerSecond} tokens/s, ${result.tokens} tokens`);
    for (const warning of textWarnings(result.texts, 'expansions')) context.warn(warning);
  }
  for (const warning of warnings(result)) context.warn(warning);
  if (withoutExpansions > 0)
    context.warn(
      `${counted(withoutExpansions, 'row has', 'rows have')} no expansion: only --query-side query can train on them`,
    );
  context.say(`wrote ${counted(rows.train, 'row')} to ${file}`);
  if (devFile !== undefined && rows.dev === 0) {
    context.warn(`${devFile} is empty: all rows are of one query. Use --dev-share 0 if you need no development rows.`);
  }
  if (devFile !== undefined) context.say(`wrote ${counted(rows.dev, 'row')} to ${devFile}`);
}

function warnings({ source }: RetrieverDataResult): string[] {
  const { leftOut, leftOutIds, negativesThatArePositives, blankTexts } = source;
  const refused = ROW_REFUSALS.filter((refusal) => leftOut[refusal] > 0);
  return [
    ...refused.map((refusal) => `left out: ${counted(leftOut[refusal], 'row')} ${REFUSAL_WORDS[refusal]}`),
    ...(refused.length > 0 ? [`left out, for example: ${leftOutIds.join(', ')}`] : []),
    ...(negativesThatArePositives > 0
      ? [`removed ${counted(negativesThatArePositives, 'negative')} equal to a positive of the same row`]
      : []),
    ...(blankTexts > 0 ? [`removed ${counted(blankTexts, 'document')} without text`] : []),
  ];
}
