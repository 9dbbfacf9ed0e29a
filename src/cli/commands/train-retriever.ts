import { join } from 'node:path';
import { z } from 'zod';
import { BeirDataset, readRetrieverRows } from '../../data/index.ts';
import { encoderFigures, loadTopics, searchesRawQueries } from '../../evaluate/index.ts';
import { DEFAULT_ENCODER, ModelStore } from '../../models/index.ts';
import { defaultRetrievalSettings, offlineOption, openEncoder } from '../../retrieve/index.ts';
import { counted, inGroup, sha256File, shellWord, UsageError } from '../../system/index.ts';
import {
  clusterShape,
  EXPORT_ENGINES,
  EXPORT_FILES,
  type ExportEngine,
  exportRetrieverTraining,
  planRetriever,
  prepareRetrieverElsewhere,
  type RetrieverExport,
  type RetrieverFiles,
  type RetrieverPlan,
  retrieverTrainingShape,
  type TrainRetrieverElsewhereOptions,
  type TrainRetrieverResult,
  trainRetriever,
  trainRetrieverElsewhere,
} from '../../train/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles } from '../command-files.ts';
import { duration, size } from '../print-plan.ts';
import { formatTable } from '../table.ts';

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
  guideEncoder: z
    .string()
    .optional()
    .describe(
      'an encoder that recognises false negatives: a document that it finds more similar to the query than the positive, less the margins, does not count as a negative',
    )
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
  plan: z
    .boolean()
    .default(false)
    .describe(
      'read the rows and report steps, tokens, memory and time, measured in a few steps; train and write nothing',
    ),
  ...retrieverTrainingShape,
  engine: z
    .enum(['local', 'sentence-transformers', ...EXPORT_ENGINES])
    .default('local')
    .describe(
      'train in this program, or with sentence-transformers (must be installed) on several GPUs or machines; tevatron, flagembedding: only write data and command line for these programs',
    ),
  ...inGroup('With another --engine:', clusterShape),
  writeOnly: z
    .boolean()
    .default(false)
    .describe('with --engine sentence-transformers: only write data, settings and script, to train elsewhere'),
  threads: z.coerce.number().int().min(1).optional().describe('processor threads (default: one per core)'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

/** The options that are training settings, and those of processes in Python. */
const settings = z.object(retrieverTrainingShape);
const clusterSettings = z.object(clusterShape);

export const command = defineCommand({
  name: 'train retriever',
  summary: 'fine-tune an encoder on expanded queries, or distil the expansion into it',
  description:
    "OUT becomes an encoder in sentence-transformers' layout, which --encoder OUT loads; metrics.jsonl, checkpoints and\nmanifest.json are written there too. An interrupted run resumes with the same command. Equal rows, encoder and settings give equal bytes.",
  options,
  examples: [
    [
      'llm-qe train retriever --data runs/data/mined.jsonl --dev-data runs/data/retriever-dev.jsonl --out runs/retriever',
      'on the rows of `data retriever` and `mine`; the checkpoint with the best loss on the held-out rows is kept',
    ],
    [
      'llm-qe train retriever --data retriever.jsonl --out runs/student --method distil --train query --lora-r 32',
      'a student that searches without an LLM, over an index that stays as it is',
    ],
    ['llm-qe train retriever --data retriever.jsonl --out runs/retriever --plan', 'what it would need'],
    [
      'llm-qe train retriever --data mined.jsonl --out runs/guided --guide-encoder bge-small-en-v1.5 --relative-margin 0.05',
      'false negatives are filtered by a stronger encoder',
    ],
    [
      'llm-qe train retriever --data retriever.jsonl --out runs/large --engine sentence-transformers --processes 8 --batch-size 1024',
      'the same training on eight GPUs',
    ],
    [
      'llm-qe train retriever --data retriever.jsonl --out runs/tevatron --engine tevatron --query-side concat',
      'only data and command line for Tevatron',
    ],
    [
      'llm-qe train retriever --data retriever.jsonl --out runs/ridge --method ridge',
      'the baseline of students: a linear map in closed form',
    ],
  ],
  files: ({ data, devData, dev, encoder, guideEncoder, out, engine }) => ({
    inputs: {
      ...{ ...datasetFiles(dev).inputs, '--data': data, '--dev-data': devData },
      ...{ ...modelFiles('--encoder', encoder), ...modelFiles('--guide-encoder', guideEncoder) },
    },
    inputFolders: datasetFiles(dev).inputFolders,
    outputs: Object.fromEntries(
      (isExport(engine) ? EXPORT_FILES : ['metrics.jsonl', 'manifest.json', 'config.json', 'model.safetensors']).map(
        (name) => [`${name} of --out`, join(out, name)],
      ),
    ),
  }),
  async run(given, context) {
    const { signal, progress } = context;
    checkEngine(given);
    const store = new ModelStore({ offline: given.offline, progress });
    const encoder = await store.resolve(given.encoder, { kind: 'encoder', signal });
    if (given.plan) {
      const rows = rowsOf(given.data, signal);
      const { threads } = given;
      printPlan(
        await planRetriever({ encoder, rows, settings: settings.parse(given), threads, signal }),
        given,
        context,
      );
      return;
    }
    const engine = clusterSettings.parse(given);
    if (isExport(given.engine)) {
      const rows = rowsOf(given.data, signal);
      const what = {
        encoder,
        rows,
        file: given.data,
        out: given.out,
        settings: settings.parse(given),
        cluster: engine,
        signal,
      };
      printExport(await exportRetrieverTraining(given.engine, what), given, context);
      return;
    }
    const evaluation = given.dev === undefined ? {} : await openEvaluation(given.dev, given, context);
    const { devData, guideEncoder, threads } = given;
    const guide =
      guideEncoder === undefined
        ? undefined
        : await openEncoder(defaultRetrievalSettings({ encoder: guideEncoder, threads }), store, signal, progress);
    const training: TrainRetrieverElsewhereOptions = {
      encoder,
      rows: () => rowsOf(given.data, signal),
      devRows: devData === undefined ? undefined : () => rowsOf(devData, signal),
      files: { train: given.data, dev: devData },
      out: given.out,
      settings: settings.parse(given),
      ...evaluation,
      about: { file: { path: given.data, sha256: await sha256File(given.data, signal) } },
      warn: (line) => context.warn(line),
      signal,
      progress,
    };
    if (given.writeOnly) {
      printFiles(await prepareRetrieverElsewhere({ ...training, engine }), given, context);
      return;
    }
    const onCommands = (lines: readonly string[]) => tell(lines, given, context);
    const trained =
      given.engine === 'local'
        ? trainRetriever({ ...training, guide, threads })
        : trainRetrieverElsewhere({ ...training, engine, onCommands });
    const result = await trained.finally(() => guide?.close());
    print(result, given, context);
  },
});

function isExport(engine: Options['engine']): engine is ExportEngine {
  return EXPORT_ENGINES.some((one) => one === engine);
}

/** @throws UsageError for options that the engine does not use */
function checkEngine({ engine, writeOnly, plan, dev, devData, guideEncoder, ...given }: Options): void {
  if (engine === 'local') refuseCluster(given);
  if (guideEncoder !== undefined && engine !== 'local') {
    throw new UsageError(`--guide-encoder works only with the local engine, not with ${engine}`, {
      fix: 'Omit it, or filter negatives beforehand with `llm-qe mine`.',
    });
  }
  if (plan && engine !== 'local') {
    throw new UsageError(`--plan measures the local engine, not ${engine}`, { fix: 'Omit --plan or --engine.' });
  }
  if (writeOnly && engine !== 'sentence-transformers') {
    throw new UsageError('--write-only works only with --engine sentence-transformers', {
      fix: isExport(engine) ? 'Omit it: this engine only writes.' : 'Add --engine sentence-transformers.',
    });
  }
  if (isExport(engine) && (dev !== undefined || devData !== undefined)) {
    throw new UsageError(`--dev, --dev-data: --engine ${engine} only writes data and command line`, {
      fix: 'Omit them.',
    });
  }
}

/** @throws UsageError for options of processes in Python, of which the local engine has none */
function refuseCluster(given: z.input<typeof clusterSettings>): void {
  const defaults: Record<string, unknown> = clusterSettings.parse({});
  const name = clusterSettings.keyof().options.find((one) => given[one] !== defaults[one]);
  if (name === undefined) return;
  throw new UsageError(
    `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} works only with an engine in Python`,
    {
      fix: 'Omit it, or add --engine sentence-transformers.',
    },
  );
}

function tell(lines: readonly string[], { out }: Options, { say }: CommandContext): void {
  say(`on the other machines, in the folder ${out}, run:`);
  for (const line of lines) say(`  ${line}`);
}

function printFiles(
  { folder, commands, steps, counts }: RetrieverFiles,
  given: Options,
  context: CommandContext,
): void {
  const { json, say } = context;
  json({ folder, commands, steps, counts, engine: given.engine });
  if (given.json) return;
  say(`wrote ${folder}: ${given.method} on ${counts.train.examples} of ${counts.train.rows} rows, ${steps} steps`);
  const several = commands.length > 1 ? ` (one command on each of ${commands.length} machines)` : '';
  say(`where sentence-transformers is installed, in that folder, run${several}:`);
  for (const line of commands) say(`  ${line}`);
  say('  (put MODEL=FOLDER before it if the encoder is elsewhere there)');
  say('then copy the folder back, and run this command without --write-only to import the encoder');
}

function printExport(exported: RetrieverExport, given: Options, context: CommandContext): void {
  const { folder, rows, examples, skipped, command, differences } = exported;
  context.json({ folder, rows, examples, skipped, command, engine: given.engine });
  if (given.json) return;
  context.say(`wrote ${folder}: ${examples} examples of ${rows} rows for ${given.engine}, ${skipped} rows left out`);
  context.say(`only an export: run ${command} there with ${given.engine} installed; the result is not imported`);
  for (const line of differences) context.say(`  ${line}`);
}

async function* rowsOf(file: string, signal: AbortSignal | undefined) {
  for await (const { row } of readRetrieverRows(file, signal)) yield row;
}

/** Measures the encoder in a folder on the development queries of a data set. */
async function openEvaluation(
  folder: string,
  { devSplit, alpha, threads, querySide, method, train }: Options,
  { signal, progress, warn }: CommandContext,
) {
  const dataset = await BeirDataset.open(folder);
  const topics = await loadTopics(dataset, devSplit);
  if (topics.queries.length === 0) {
    throw new UsageError(`--dev: no query of split ${devSplit} has judgements`, {
      fix: 'Pass another split with --dev-split.',
    });
  }
  const own = { alpha, ...(threads !== undefined && { threads }) };
  const evaluate = encoderFigures(dataset, topics, {
    documentsChange: train === 'both' && method !== 'ridge',
    searchesRaw: searchesRawQueries({ method, querySide }),
    retrieval: (encoder) => defaultRetrievalSettings({ encoder, ...own }),
    ...{ signal, progress, warn: (line: string) => warn(line) },
  });
  const [queries, qrels] = [await dataset.queriesFile(), await dataset.qrelsFile(devSplit)];
  const content = {
    corpus: await dataset.corpusHash(signal),
    queries: await sha256File(queries, signal),
    qrels: await sha256File(qrels, signal),
  };
  return { evaluate, evaluation: { split: devSplit, ...content } };
}

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
  context.say(
    ridge === undefined
      ? `loss of the first batch: ${loss.first.toFixed(4)}, of the last: ${loss.last.toFixed(4)}`
      : `loss before: ${loss.first.toFixed(4)}, after: ${loss.last.toFixed(4)}`,
  );
  if (dev !== undefined) {
    const { step: at, ...best } = dev.best;
    const rows = Object.keys(dev.before).map((name) => [name, dev.before[name]!.toFixed(4), best[name]!.toFixed(4)]);
    context.say(formatTable(['on dev', 'before', at === undefined ? 'after' : `best, at step ${at}`], rows));
  }
  context.say(`${seconds.toFixed(1)} s, ${(peakBytes / 2 ** 30).toFixed(1)} GiB; the encoder is that of step ${step}`);
  context.say(`wrote ${model}`);
  context.say(
    `next: llm-qe evaluate --dataset ${given.dev === undefined ? 'DIR' : shellWord(given.dev)} --encoder ${shellWord(model)}`,
  );
}

function printPlan({ counts, memory, ...plan }: RetrieverPlan, given: Options, context: CommandContext): void {
  context.json({ ...plan, memory, counts });
  if (given.json) return;
  const { steps, stepsPerEpoch, tokens, seconds, probe } = plan;
  context.say(
    `${given.method} on ${counts.examples} of ${counts.rows} rows: ${count(steps)} steps, ${count(stepsPerEpoch)} per epoch`,
  );
  context.say(`${count(tokens)} tokens without padding`);
  const { mode, activations, weights, bytes, parameters } = memory;
  const kept = mode === 'blocks' ? 'activations of one layer at a time' : 'activations';
  context.say(
    `${count(parameters)} trained values; memory: ${size(bytes)} (${size(weights)} weights, gradients and moments, ${size(activations)} ${kept}), and the program itself`,
  );
  if (probe === undefined) return;
  context.say(
    `${duration(seconds)}, without evaluations: ${count(probe.tokensPerSecond)} tokens per second in ${probe.steps} steps`,
  );
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
