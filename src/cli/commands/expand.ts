import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { BeirDataset } from '../../data/index.ts';
import { loadTopics } from '../../evaluate/index.ts';
import {
  connectGenerator,
  type ExpandableQuery,
  type ExpandResult,
  expandQueries,
  type Generator,
  loadGenerator,
  PROMPTS,
  type PromptTemplate,
  readPrompt,
  TASKS,
} from '../../generate/index.ts';
import { DEFAULT_GENERATOR, ModelStore } from '../../models/index.ts';
import { UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';

const options = z.object({
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ placeholder: 'DIR' }),
  generator: z
    .array(z.string())
    .min(1)
    .default([DEFAULT_GENERATOR])
    .describe('a model of the store, a .gguf file, or the address of an OpenAI-compatible server (repeatable)')
    .meta({ placeholder: 'NAME|FILE|URL' }),
  model: z.string().optional().describe("the model's name on the server").meta({ placeholder: 'NAME' }),
  adapter: z
    .array(z.string())
    .default([])
    .describe('LoRA adapter for the embedded model, in GGUF (repeatable)')
    .meta({ placeholder: 'DIR|FILE' }),
  task: z.enum(TASKS).default('q2d').describe('which published prompt'),
  prompt: z
    .string()
    .optional()
    .describe('file with a prompt of your own that holds {query}')
    .meta({ placeholder: 'FILE' }),
  samples: z.coerce.number().int().min(1).default(1).describe('expansions a query'),
  temperature: z.coerce.number().min(0).default(1).describe('0 takes the likeliest token each time'),
  topP: z.coerce.number().gt(0).max(1).default(0.9).describe('nucleus of the draw'),
  topK: z.coerce.number().int().min(0).default(0).describe('0 leaves all tokens in'),
  maxTokens: z.coerce.number().int().min(1).default(512).describe('limit on new tokens'),
  seed: z.coerce.number().int().min(0).default(42).describe('seed of all samples'),
  split: z
    .string()
    .default('test')
    .describe('expand the queries that this split judges, or all')
    .meta({ placeholder: 'NAME|all' }),
  queries: z.string().optional().describe('another queries file of the data set').meta({ placeholder: 'FILE' }),
  limit: z.coerce.number().int().positive().optional().describe('a seeded sample of this many queries, as in evaluate'),
  out: z.string().optional().describe('default expansions.jsonl in the data set').meta({ placeholder: 'FILE' }),
  concurrency: z.coerce.number().int().min(1).default(16).describe('calls to servers at once'),
  timeout: z.coerce.number().positive().default(300).describe('seconds for one call to a server'),
  sequences: z.coerce.number().int().min(1).default(32).describe('texts the embedded model writes side by side'),
  threads: z.coerce.number().int().min(1).optional().describe('processor threads of the embedded model'),
  context: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('tokens of prompt and text together; default 512 more than --max-tokens'),
  gpu: z.boolean().default(false).describe('let the embedded model use the graphics card'),
  deterministic: z
    .boolean()
    .default(false)
    .describe('one thread and one text at a time for each: equal runs give equal files, more slowly'),
  offline: z.boolean().default(false).describe('fetch nothing'),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'expand',
  summary: 'let a language model write expansions of queries',
  description:
    "Writes expansions.jsonl and, in BEIR's layout, queries_<task>.jsonl beside it. Every expansion is journalled at once:\nthe same command goes on where it was stopped, and repeats nothing. Servers get the key in OPENAI_API_KEY.",
  options,
  examples: [
    ['llm-qe expand --dataset data/scifact', 'one passage a query by the default model'],
    [
      'llm-qe expand --dataset data/scifact --generator http://localhost:8000 --samples 4',
      'four by the model of a vLLM server',
    ],
    ['llm-qe expand --dataset data/nq --split all --task q2e --max-tokens 64', 'keywords for all queries'],
  ],
  async run(given, context) {
    const dataset = await BeirDataset.open(given.dataset);
    const queries = await chooseQueries(dataset, given);
    const prompt = given.prompt === undefined ? PROMPTS[given.task] : await readPrompt(given.prompt);
    refuseDocuments(prompt);
    const generator = await openGenerator(given, context);
    try {
      const result = await expandQueries({
        queries,
        generator,
        prompt,
        sampling: {
          temperature: given.temperature,
          topP: given.topP,
          topK: given.topK,
          maxTokens: given.maxTokens,
        },
        samples: given.samples,
        seed: given.seed,
        out: given.out ?? join(dataset.folder, 'expansions.jsonl'),
        timings: !given.deterministic,
        signal: context.signal,
        progress: context.progress,
      });
      print(result, dataset, generator, context);
    } finally {
      await generator.close();
    }
  },
});

async function chooseQueries(
  dataset: BeirDataset,
  { split, queries, limit, seed }: Options,
): Promise<ExpandableQuery[]> {
  if (split !== 'all') return (await loadTopics(dataset, split, { limit, seed, queriesFile: queries })).queries;
  if (limit !== undefined) {
    throw new UsageError('--limit draws from one split', { mend: 'Name the split, or leave --limit away.' });
  }
  return [...(await dataset.queries({ file: queries })).values()];
}

/** Gold documents belong to training; a test query that has read one would be scored on what it read. */
function refuseDocuments(prompt: PromptTemplate): void {
  if (!prompt.needsDocument) return;
  throw new UsageError(`prompt ${prompt.name} reads a query's gold document, which this command does not give`, {
    mend: 'Choose q2d, q2q, q2e or q2c, or a prompt without {document}.',
  });
}

async function openGenerator(given: Options, { signal, progress }: CommandContext): Promise<Generator> {
  const addresses = given.generator.filter((name) => /^https?:\/\//i.test(name));
  if (addresses.length === given.generator.length) {
    if (given.adapter.length > 0) {
      throw new UsageError('--adapter is for the embedded model', { mend: 'Load the adapter on the server.' });
    }
    const { model, concurrency, timeout } = given;
    return connectGenerator({ baseUrls: addresses, model, concurrency, timeoutSeconds: timeout, signal });
  }
  const [name, ...others] = given.generator;
  if (name === undefined || others.length > 0) {
    throw new UsageError('several generators must all be servers', { mend: 'Name one model, or several addresses.' });
  }
  if (given.model !== undefined) {
    throw new UsageError('--model names a model on a server', { mend: 'Name an embedded model with --generator.' });
  }
  const store = new ModelStore({ offline: given.offline, progress });
  const model = await store.resolve(name, { kind: 'generator', signal });
  return loadGenerator(model, {
    sequences: given.sequences,
    threads: given.threads ?? availableParallelism(),
    contextSize: given.context ?? given.maxTokens + 512,
    adapters: given.adapter.map((path) => ({ path })),
    deterministic: given.deterministic,
    gpu: given.gpu ? 'auto' : false,
    signal,
  });
}

function print(
  { files, statistics }: ExpandResult,
  dataset: BeirDataset,
  generator: Generator,
  context: CommandContext,
) {
  context.json({
    dataset: dataset.name,
    generator: { id: generator.id, fingerprint: generator.fingerprint },
    files,
    ...statistics,
  });
  const { queries, expansions, reused, completionTokens, seconds, tokensPerSecond } = statistics;
  context.say(`${expansions} expansions of ${queries} queries by ${generator.id}, ${reused} of them from before`);
  if (seconds > 0)
    context.say(`${seconds.toFixed(1)} s, ${tokensPerSecond} tokens/s, ${completionTokens} tokens in all`);
  context.say(`${statistics.cutByLength} cut at the token limit, ${statistics.empty} empty`);
  if (statistics.empty > 0)
    context.warn(`${statistics.empty} expansions are empty: those are searched with the query alone`);
  context.say(`wrote ${files.expansions}`);
  context.say(`wrote ${files.queries}`);
}
