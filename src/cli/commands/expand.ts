import { dirname, join } from 'node:path';
import { z } from 'zod';
import { BeirDataset } from '../../data/index.ts';
import { loadTopics } from '../../evaluate/index.ts';
import {
  type ExpandableQuery,
  type ExpandResult,
  type Generator,
  promptName,
  textWarnings,
} from '../../generate/index.ts';
import type { ExampleSource, StrategyResult } from '../../strategies/index.ts';
import { counted, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles, recordFiles } from '../command-files.ts';
import { warnOfDefaultWriter } from '../default-writer.ts';
import { forceOption } from '../open-generator.ts';
import { refuseIdleReplay, replay, replayOptions } from '../replay-options.ts';
import { jobSizeOption, openQueuedGenerator, openWriting, queueOptions, shardOptions } from '../several-machines.ts';
import { STRATEGY_LINES } from '../strategy-options.ts';
import { checkExpansion, expansionOptions, openWriterOf, writeExpansions } from '../write-expansions.ts';

const options = z.object({
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  split: z
    .string()
    .default('test')
    .describe('expand the queries that this split judges; all: every query')
    .meta({ valueName: 'NAME|all' }),
  queries: z.string().optional().describe('another queries file for this data set').meta({ valueName: 'FILE' }),
  limit: z.coerce
    .number()
    .int()
    .positive()
    .optional()
    .describe('expand a random sample of this many queries: the same as in evaluate, with the same --seed'),
  out: z
    .string()
    .optional()
    .describe('file to write (default: expansions.jsonl in the data set)')
    .meta({ valueName: 'FILE' }),
  ...expansionOptions,
  ...shardOptions,
  ...queueOptions,
  ...jobSizeOption,
  ...replayOptions,
  force: forceOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'expand',
  summary: 'write expansions of queries with a language model',
  description:
    "Writes expansions.jsonl and, in BEIR's layout, queries_<task>.jsonl in the same folder. Every expansion is saved at once.\nIf interrupted, the same command resumes and repeats nothing; if you raise --samples or --limit, only the additional texts\nare generated. Files made by another generator, prompt or setting are not replaced without --force. The key in\nOPENAI_API_KEY is sent to servers.",
  list: {
    heading: 'Strategies (--strategy; docs/strategies.md tells papers, settings and costs):',
    items: STRATEGY_LINES,
  },
  options,
  examples: [
    ['llm-qe expand --dataset data/scifact', 'one passage per query, by the default model'],
    [
      'llm-qe expand --dataset data/scifact --generator http://localhost:8000 --samples 4',
      'four passages per query, by the model on a server',
    ],
    [
      'llm-qe expand --dataset data/scifact --strategy mugi',
      'five passages per query, as MuGI samples and combines them',
    ],
    [
      'llm-qe expand --dataset data/scifact --from scifact.mugi.queries.tsv --out mugi/expansions.jsonl',
      'texts that QueryGym published',
    ],
    ['llm-qe expand --dataset data/nq --split all --task q2e --max-tokens 64', 'keywords for all queries'],
    ['llm-qe expand --dataset data/nq --shard 2/3', 'a third of the work, on a folder that three machines share'],
    ['llm-qe expand --dataset data/nq --join', 'the file of all three'],
    ['llm-qe expand --dataset data/nq --queue redis://host:6379', 'by the workers of a queue'],
  ],
  files({
    dataset,
    queries,
    prompt,
    strategy,
    task = 'q2d',
    generator,
    adapter,
    from,
    out = join(dataset, 'expansions.jsonl'),
  }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    const prompted = prompt === undefined ? task : promptName(prompt);
    const name = from === undefined ? (strategy ?? prompted) : 'replay';
    return {
      inputs: {
        ...{ ...inputs, '--queries': queries, '--prompt': prompt, '--from': from },
        ...modelFiles('--generator', ...generator),
        ...modelFiles('--adapter', ...(adapter ?? [])),
      },
      inputFolders,
      outputs: { ...recordFiles('--out', out), 'the expanded queries': join(dirname(out), `queries_${name}.jsonl`) },
    };
  },
  async run(given, context) {
    const dataset = await BeirDataset.open(given.dataset);
    const queries = await chooseQueries(dataset, given);
    const { from, strategy } = given;
    refuseIdleReplay(given, {
      ...{ '--strategy': strategy, '--task': given.task, '--prompt': given.prompt },
      ...{ '--shard': given.shard, '--join': given.join || undefined, '--queue': given.queue },
    });
    if (from !== undefined) return replay({ ...given, from }, dataset, queries, context);
    const chosen = await checkExpansion(given, 'expand');
    const [name] = given.generator;
    if (!given.join) warnOfDefaultWriter({ generator: name, adapters: given.adapter }, dataset, context);
    const whole = { queries, out: given.out ?? join(dataset.folder, 'expansions.jsonl') };
    const { queue } = given;
    const openOwn = () =>
      queue === undefined
        ? openWriterOf(given, chosen, context)
        : openQueuedGenerator({ ...given, ...chosen, queue }, context);
    const writing = await openWriting(given, whole, openOwn, context);
    try {
      if (writing.queries.length > 0) {
        const { queries: own, out, generator } = writing;
        const work = { dataset, queries: own, allQueries: queries, out, force: given.force };
        print(await writeExpansions(given, chosen, generator, work, context), dataset, generator, given, context);
      }
      await writing.finish();
    } finally {
      await writing.close();
    }
  },
});

async function chooseQueries(
  dataset: BeirDataset,
  { split, queries, limit, seed }: Options,
): Promise<ExpandableQuery[]> {
  if (split !== 'all') return (await loadTopics(dataset, split, { limit, seed, queriesFile: queries })).queries;
  if (limit !== undefined) {
    throw new UsageError('--limit needs a split to sample from, not --split all', {
      fix: 'Pass the name of one split, or omit --limit.',
    });
  }
  return [...(await dataset.queries({ file: queries })).values()];
}

function describeExamples(source: ExampleSource): string {
  return source === 'train'
    ? 'the examples in the prompt are queries of the train split'
    : 'the examples in the prompt were written for llm-qe: the data set has no train split to take them from';
}

function print(
  { files, statistics, ...strategy }: ExpandResult & Partial<StrategyResult>,
  dataset: BeirDataset,
  generator: Generator,
  { shard, join }: Options,
  context: CommandContext,
) {
  context.json({
    dataset: dataset.name,
    generator: { id: generator.id, fingerprint: generator.fingerprint },
    ...(shard === undefined ? { files } : { shard }),
    ...{ ...statistics, ...strategy },
  });
  const { queries, expansions, texts, reused, completionTokens, seconds, tokensPerSecond, shortened } = statistics;
  const kept = texts === expansions ? `${reused} of them reused` : `from ${counted(texts, 'text')}, ${reused} reused`;
  context.say(`${counted(expansions, 'expansion')} of ${counted(queries, 'query')} by ${generator.id}, ${kept}`);
  if (strategy.examples !== undefined) context.say(describeExamples(strategy.examples));
  if (seconds > 0 && !join)
    context.say(`${seconds.toFixed(1)} s, ${tokensPerSecond} tokens/s, ${completionTokens} tokens in all`);
  context.say(`${statistics.cutByLength} cut at the token limit, ${statistics.empty} empty`);
  if (shortened > 0) context.say(`${counted(shortened, 'prompt')} held fewer documents than found: raise --context`);
  for (const warning of textWarnings(statistics, 'expansions')) context.warn(warning);
  if (statistics.empty > 0)
    context.warn(
      `${counted(statistics.empty, 'expansion is', 'expansions are')} empty: such queries are searched as they are`,
    );
  if (shard !== undefined) return;
  context.say(`wrote ${files.expansions}`);
  context.say(`wrote ${files.queries}`);
}
