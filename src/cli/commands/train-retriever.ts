import { join } from 'node:path';
import { z } from 'zod';
import { BeirDataset, readRetrieverRows } from '../../data/index.ts';
import { loadTopics, runArm, withoutExpansions } from '../../evaluate/index.ts';
import { DEFAULT_ENCODER, ModelStore } from '../../models/index.ts';
import { CorpusSearch, defaultRetrievalSettings, offlineOption } from '../../retrieve/index.ts';
import { counted, sha256File, UsageError } from '../../system/index.ts';
import { retrieverTrainingShape, type TrainRetrieverResult, trainRetriever } from '../../train/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles } from '../command-files.ts';
import { formatTable } from '../table.ts';

/** What chooses the best checkpoint on development queries. */
const MEASURE = 'nDCG@10';
const EXPANDED = 'expanded nDCG@10';

const options = z.object({
  data: z
    .string()
    .describe("training rows: retriever.jsonl, LLM-QE's or ExpandR's published layout, or triples")
    .meta({ valueName: 'FILE' }),
  encoder: z
    .string()
    .default(DEFAULT_ENCODER)
    .describe('the encoder to train: a known model, or a folder')
    .meta({ valueName: 'NAME|DIR' }),
  out: z.string().describe('folder of the trained encoder and its checkpoints').meta({ valueName: 'DIR' }),
  dev: z
    .string()
    .optional()
    .describe("a data set in BEIR's layout: nDCG@10 is measured on it during training, and the best checkpoint is kept")
    .meta({ valueName: 'DIR' }),
  devSplit: z.string().default('dev').describe('with --dev: the split to measure on').meta({ valueName: 'NAME' }),
  devData: z
    .string()
    .optional()
    .describe('held-out rows, whose loss is measured during training')
    .meta({ valueName: 'FILE' }),
  ...retrieverTrainingShape,
  threads: z.coerce.number().int().min(1).optional().describe('processor threads (default: one per core)'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

/** The options that are training settings. */
const settings = z.object(retrieverTrainingShape);

export const command = defineCommand({
  name: 'train retriever',
  summary: 'fine-tune an encoder on expanded queries, or distil the expansion into it',
  description:
    "OUT becomes an encoder in sentence-transformers' layout, which --encoder OUT loads; metrics.jsonl, checkpoints and\nmanifest.json are written there too. An interrupted run resumes with the same command. Equal rows, encoder and settings give equal bytes.",
  options,
  examples: [
    ['llm-qe train retriever --data retriever.jsonl --out runs/retriever', 'on the mean of query and expansions'],
    [
      'llm-qe train retriever --data retriever.jsonl --out runs/student --method distil --train query --lora-r 32',
      'a student that searches without an LLM, over an index that stays as it is',
    ],
    [
      'llm-qe train retriever --data retriever.jsonl --out runs/ridge --method ridge',
      'the baseline of students: a linear map in closed form',
    ],
  ],
  files: ({ data, devData, dev, encoder, out }) => ({
    inputs: { ...datasetFiles(dev).inputs, '--data': data, '--dev-data': devData, ...modelFiles('--encoder', encoder) },
    inputFolders: datasetFiles(dev).inputFolders,
    outputs: Object.fromEntries(
      ['metrics.jsonl', 'manifest.json', 'config.json', 'model.safetensors'].map((name) => [
        `${name} of --out`,
        join(out, name),
      ]),
    ),
  }),
  async run(given, context) {
    const { signal, progress } = context;
    const store = new ModelStore({ offline: given.offline, progress });
    const encoder = await store.resolve(given.encoder, { kind: 'encoder', signal });
    const evaluate = given.dev === undefined ? undefined : await openEvaluation(given.dev, given, context);
    const result = await trainRetriever({
      encoder,
      rows: rowsOf(given.data, signal),
      devRows: given.devData === undefined ? undefined : rowsOf(given.devData, signal),
      out: given.out,
      settings: settings.parse(given),
      ...(evaluate !== undefined && { evaluate, evaluation: { dataset: given.dev, split: given.devSplit } }),
      threads: given.threads,
      about: { file: { path: given.data, sha256: await sha256File(given.data, signal) } },
      warn: (line) => context.warn(line),
      signal,
      progress,
    });
    print(result, given, context);
  },
});

async function* rowsOf(file: string, signal: AbortSignal | undefined) {
  for await (const { row } of readRetrieverRows(file, signal)) yield row;
}

/** nDCG@10 of raw queries, and of expanded ones if the data set holds expansions, by the encoder in a folder. */
async function openEvaluation(
  folder: string,
  { devSplit, alpha, threads, querySide, method }: Options,
  { signal, progress }: CommandContext,
) {
  const dataset = await BeirDataset.open(folder);
  const topics = await loadTopics(dataset, devSplit);
  const trainsQueries = querySide === 'query' || method === 'distil' || method === 'ridge';
  const isExpanded = topics.queries.some(({ expansions }) => expansions.length > 0);
  if (topics.queries.length === 0) {
    throw new UsageError(`--dev: no query of split ${devSplit} has judgements`, {
      fix: 'Pass another split with --dev-split.',
    });
  }
  return async (encoder: string): Promise<Record<string, number>> => {
    const search = new CorpusSearch(
      dataset,
      defaultRetrievalSettings({ encoder, alpha, depth: DEPTH, ...(threads !== undefined && { threads }) }),
      { signal, progress },
    );
    try {
      const retriever = await search.retriever('dense');
      const measure = async (some: typeof topics) => {
        const plan = { name: 'dev', description: 'dense', retriever, topics: some };
        return (await runArm(plan, { depth: DEPTH, dropSelf: true, signal })).scores.mean[MEASURE]!;
      };
      const raw = await measure(withoutExpansions(topics));
      if (!isExpanded) return { [MEASURE]: raw };
      const expanded = await measure(topics);
      // The first one chooses: what is trained on the query alone is searched with it alone.
      return trainsQueries ? { [MEASURE]: raw, [EXPANDED]: expanded } : { [EXPANDED]: expanded, [MEASURE]: raw };
    } finally {
      await search.close();
    }
  };
}

/** Deep enough for nDCG@10 and for a document that is left out. */
const DEPTH = 100;

function print(result: TrainRetrieverResult, given: Options, context: CommandContext): void {
  const { model, steps, step, stopped, loss, dev, counts, duplicatesInBatch, ridge, seconds, peakBytes, metricsFile } =
    result;
  context.json({
    ...{ steps, loss, ...(dev !== undefined && { dev }), model, seconds, peakBytes },
    ...{ step, stopped, counts, duplicatesInBatch, ...(ridge !== undefined && { ridge }), metrics: metricsFile },
  });
  if (given.json) return;
  context.say(
    `${given.method} on ${counts.train.examples} of ${counted(counts.train.rows, 'row')}, ${counted(steps, 'step')} (${stopped})`,
  );
  if (ridge !== undefined) context.say(`strength of ridge: ${ridge}`);
  context.say(`loss: first ${loss.first.toFixed(4)}, last ${loss.last.toFixed(4)}`);
  if (dev !== undefined) {
    const { step: at, ...best } = dev.best;
    const rows = Object.keys(dev.before).map((name) => [name, dev.before[name]!.toFixed(4), best[name]!.toFixed(4)]);
    context.say(formatTable(['on dev', 'before', at === undefined ? 'after' : `best, at step ${at}`], rows));
  }
  context.say(`${seconds.toFixed(1)} s, ${(peakBytes / 2 ** 30).toFixed(1)} GiB; the encoder is that of step ${step}`);
  context.say(`wrote ${model}`);
}
