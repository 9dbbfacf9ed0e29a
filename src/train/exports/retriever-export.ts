import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RetrieverRow } from '../../data/index.ts';
import { type EncoderRecipe, readEncoderRecipe } from '../../embed/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import {
  DataError,
  DurableFile,
  isThere,
  makeFolder,
  throwIfAborted,
  UsageError,
  writeDurably,
} from '../../system/index.ts';
import { type ClusterInput, type ClusterSettings, parseCluster, RANK } from '../python/cluster-settings.ts';
import { isTaken, refuseTrainingFolder } from '../retriever/output-folder.ts';
import {
  parseRetrieverSettings,
  type RetrieverTrainingInput,
  type RetrieverTrainingSettings,
} from '../retriever/retriever-settings.ts';

/** Programs whose data and command line are written, but which are neither started nor read back. */
export const EXPORT_ENGINES = ['tevatron', 'flagembedding'] as const;
export type ExportEngine = (typeof EXPORT_ENGINES)[number];

export interface RetrieverExportOptions {
  encoder: ResolvedModel;
  rows: Iterable<RetrieverRow> | AsyncIterable<RetrieverRow>;
  /** The file that they come from, for error messages. */
  file?: string | undefined;
  out: string;
  settings?: RetrieverTrainingInput | undefined;
  cluster?: ClusterInput | undefined;
  signal?: AbortSignal | undefined;
}

export interface RetrieverExport {
  folder: string;
  /** Rows that were read, and examples that were written: with the side `expansion`, one for each expansion. */
  rows: number;
  examples: number;
  /** Rows without a positive, the texts of the query side, or negatives. */
  skipped: number;
  /** Starts the training, in the folder. */
  command: string;
  /** What the program does otherwise than this one. */
  differences: string[];
}

const TRAIN = 'train.jsonl';
const STARTER = 'train.sh';
/** The files that an export writes. */
export const EXPORT_FILES = [TRAIN, STARTER];
const WRITTEN = 'written by llm-qe, which neither starts it nor reads its result.';

/** A row as a pair of texts: what is asked, and the documents. */
interface Asked {
  id: string;
  query: string;
  row: RetrieverRow;
}

interface Target {
  name: string;
  /** Methods that the program knows. */
  methods: readonly RetrieverTrainingSettings['method'][];
  line(asked: Asked, settings: RetrieverTrainingSettings): object;
  words(recipe: EncoderRecipe, settings: RetrieverTrainingSettings, cluster: ClusterSettings): string[];
  differences: string[];
}

const SHARED = [
  'negatives that are relevant to another query of the batch, and equal texts, are not masked',
  'rows are drawn by its own generator',
];

/** By the README and the source of Tevatron 2 (src/tevatron/retriever: dataset.py, arguments.py). */
const tevatron: Target = {
  name: 'Tevatron',
  methods: ['infonce'],
  line: ({ id, query, row }) => ({
    ...{ query_id: id, query },
    positive_passages: row.positives.map(({ id: docid, text }, at) => ({ docid: docid ?? `${id}-p${at}`, text })),
    negative_passages: row.negatives.map(({ id: docid, text }, at) => ({ docid: docid ?? `${id}-n${at}`, text })),
  }),
  words: (recipe, settings, cluster) => [
    ...['-m', 'tevatron.retriever.driver.train', '--output_dir', 'model', '--dataset_name', 'json'],
    ...['--dataset_path', TRAIN, '--pooling', recipe.pooling, ...(isNormal(recipe, settings) ? ['--normalize'] : [])],
    ...['--attn_implementation', 'sdpa', '--temperature', `${settings.temperature}`],
    ...option('--query_prefix', recipe.prefixes.query),
    ...option('--passage_prefix', recipe.prefixes.document),
    ...loraWords(settings),
    ...[
      '--grad_cache',
      '--gc_q_chunk_size',
      `${settings.miniBatchSize}`,
      '--gc_p_chunk_size',
      `${settings.miniBatchSize}`,
    ],
    ...sharedWords(recipe, settings, cluster),
  ],
  differences: SHARED,
};

/** By the README of its examples/finetune/embedder. */
const flagembedding: Target = {
  name: 'FlagEmbedding',
  methods: ['infonce', 'kl'],
  line: ({ query, row: { positives, negatives, scores } }, { method }) => ({
    ...{ query, pos: positives.map(({ text }) => text), neg: negatives.map(({ text }) => text) },
    ...(method === 'kl' && { pos_scores: scores!.positives, neg_scores: scores!.negatives }),
  }),
  words: (recipe, settings, cluster) => [
    ...['-m', 'FlagEmbedding.finetune.embedder.encoder_only.base', '--output_dir', 'model', '--train_data', TRAIN],
    ...[
      '--sentence_pooling_method',
      recipe.pooling,
      '--normalize_embeddings',
      isNormal(recipe, settings) ? 'True' : 'False',
    ],
    ...['--temperature', `${settings.temperature}`, '--negatives_cross_device'],
    ...instruction('query', recipe.prefixes.query),
    ...instruction('passage', recipe.prefixes.document),
    ...['--knowledge_distillation', settings.method === 'kl' ? 'True' : 'False', '--kd_loss_type', 'kl_div'],
    ...sharedWords(recipe, settings, cluster),
  ],
  differences: [...SHARED, 'the loss of kl is its own'],
};

const TARGETS: Record<ExportEngine, Target> = { tevatron, flagembedding };

/**
 * Writes training rows in another program's layout, and a shell script with its command line. Nothing is started, and no result is
 * imported.
 * @throws UsageError for settings that the program lacks; DataError if no row is left; ModelError, ResourceError
 */
export async function exportRetrieverTraining(
  engine: ExportEngine,
  { encoder, rows, file, out, settings: given, cluster, signal }: RetrieverExportOptions,
): Promise<RetrieverExport> {
  const target = TARGETS[engine];
  const settings = parseRetrieverSettings(given ?? {});
  refuse(target, settings);
  const resolved = parseCluster(cluster);
  const recipe = await readEncoderRecipe(encoder);
  refuseRecipe(target, recipe);
  if (settings.batchSize % (resolved.processes * resolved.machines) !== 0) {
    throw new UsageError(`batchSize: ${settings.batchSize} rows cannot be divided evenly among the processes`, {
      fix: 'Use a multiple of the number of processes.',
    });
  }
  await refuseTrainingFolder(out);
  await refuseForeignExport(out);
  await makeFolder(out);
  const write = () => writeDurably(join(out, STARTER), starter(target, recipe, settings, resolved));
  const counts = await writeRows(join(out, TRAIN), target, { rows, file, signal }, settings, write);
  return { folder: out, ...counts, command: `sh ${STARTER}`, differences: target.differences };
}

/** An earlier export is replaced; files of these names that came from elsewhere are not. @throws UsageError */
async function refuseForeignExport(out: string): Promise<void> {
  const file = join(out, STARTER);
  if (await isThere(file)) {
    if ((await readFile(file, 'utf8')).includes(WRITTEN)) return;
    throw isTaken(out, `holds another ${STARTER}`);
  }
  if (await isThere(join(out, TRAIN))) throw isTaken(out, `holds another ${TRAIN}`);
}

/** @param before writes what has to stand beside the rows before they do */
async function writeRows(
  file: string,
  target: Target,
  { rows, file: source, signal }: Pick<RetrieverExportOptions, 'rows' | 'file' | 'signal'>,
  settings: RetrieverTrainingSettings,
  before: () => Promise<void>,
): Promise<Pick<RetrieverExport, 'rows' | 'examples' | 'skipped'>> {
  const counts = { rows: 0, examples: 0, skipped: 0 };
  const output = await DurableFile.create(file);
  try {
    for await (const given of rows) {
      throwIfAborted(signal);
      counts.rows++;
      const row = withoutFaults(given);
      const lacks =
        row.positives.length === 0 ||
        (settings.groupSize > 1 && row.negatives.length === 0) ||
        (settings.method === 'kl' && row.scores === undefined);
      const queries = lacks ? [] : queriesOf(row, settings.querySide);
      if (queries.length === 0) counts.skipped++;
      for (const [at, query] of queries.entries()) {
        const id = queries.length === 1 ? row.id : `${row.id}-${at}`;
        await output.write(`${JSON.stringify(target.line({ id, query, row }, settings))}\n`);
        counts.examples++;
      }
    }
    if (counts.examples === 0) {
      throw new DataError('no row is left to train on', {
        file: source,
        fix: 'Check the file, --query-side and --method: a row needs a positive, a negative, and the texts that its query is made of.',
      });
    }
    await before();
  } catch (error) {
    await output.discard();
    throw error;
  }
  await output.commit();
  return counts;
}

/** Without documents that have no text, and negatives that are equal to a positive. */
function withoutFaults(row: RetrieverRow): RetrieverRow {
  const ids = new Set(row.positives.flatMap(({ id }) => id ?? []));
  const texts = new Set(row.positives.map(({ text }) => text.trim()));
  const keep = {
    positives: [...row.positives.keys()].filter((at) => row.positives[at]!.text.trim() !== ''),
    negatives: [...row.negatives.keys()].filter((at) => {
      const { id, text } = row.negatives[at]!;
      return text.trim() !== '' && !texts.has(text.trim()) && (id === undefined || !ids.has(id));
    }),
  };
  const { scores } = row;
  return {
    ...row,
    positives: keep.positives.map((at) => row.positives[at]!),
    negatives: keep.negatives.map((at) => row.negatives[at]!),
    scores: scores && {
      positives: keep.positives.map((at) => scores.positives[at]!),
      negatives: keep.negatives.map((at) => scores.negatives[at]!),
    },
  };
}

function queriesOf({ query, expansions }: RetrieverRow, side: RetrieverTrainingSettings['querySide']): string[] {
  const written = expansions.filter((text) => text.trim() !== '');
  if (side === 'expansion') return written;
  if (query.trim() === '') return [];
  if (side === 'query') return [query];
  return written.length === 0 ? [] : [[query, ...written].join(' ')];
}

/** @throws UsageError */
function refuse({ name, methods }: Target, settings: RetrieverTrainingSettings): void {
  const { method, querySide, train, matryoshka, absoluteMargin, relativeMargin, similarity } = settings;
  const fail = (reason: string, fix: string): never => {
    throw new UsageError(reason, { fix });
  };
  if (!methods.includes(method)) fail(`method: ${name} does not know ${method}`, `Use ${methods.join(' or ')}.`);
  if (querySide === 'mean' || querySide === 'mixed') {
    fail(
      `querySide: a query of ${name} is one text, so it cannot train on ${querySide}`,
      'Use query, expansion or concat, or --engine sentence-transformers.',
    );
  }
  if (train !== 'both') fail(`train: ${name} trains one encoder for both sides`, 'Omit it.');
  if (similarity !== 'cosine') fail(`similarity: the command that is written trains on cosine`, 'Omit it.');
  if (matryoshka !== undefined) fail(`matryoshka: ${name} trains whole vectors`, 'Omit it.');
  if (absoluteMargin !== undefined || relativeMargin !== undefined) {
    fail(`absoluteMargin, relativeMargin: ${name} does not filter negatives`, 'Omit them; filter with `llm-qe mine`.');
  }
  if (settings.loraR !== undefined && name !== 'Tevatron')
    fail(`loraR: ${name} trains all weights of a BERT`, 'Omit it.');
}

/** @throws UsageError for a pooling that the programs lack */
function refuseRecipe({ name }: Target, { pooling, model }: EncoderRecipe): void {
  if (pooling === 'mean' || pooling === 'cls') return;
  throw new UsageError(`${name} does not pool by ${pooling}`, { file: model.path, fix: 'Use another encoder.' });
}

function isNormal({ normalize }: EncoderRecipe, { similarity }: RetrieverTrainingSettings): boolean {
  return normalize || similarity === 'cosine';
}

function loraWords({ loraR, loraAlpha, loraDropout, loraTargetModules }: RetrieverTrainingSettings): string[] {
  if (loraR === undefined) return [];
  return [
    ...['--lora', '--lora_r', `${loraR}`, '--lora_alpha', `${loraAlpha ?? 2 * loraR}`],
    ...['--lora_dropout', `${loraDropout}`, '--lora_target_modules', loraTargetModules.join(',')],
  ];
}

function option(name: string, value: string): string[] {
  return value === '' ? [] : [name, value];
}

function instruction(side: 'query' | 'passage', prefix: string): string[] {
  return prefix === '' ? [] : [`--${side}_instruction_for_retrieval`, prefix, `--${side}_instruction_format`, '{}{}'];
}

/** Arguments of Transformers' trainer, and those that both programs share. */
function sharedWords(
  { maxLength: own }: EncoderRecipe,
  settings: RetrieverTrainingSettings,
  { processes, machines, precision }: ClusterSettings,
): string[] {
  const length = `${Math.min(own, settings.maxLength)}`;
  const { lrScheduler, warmupSteps, maxSteps, epochs } = settings;
  return [
    ...['--train_group_size', `${settings.groupSize}`, '--query_max_len', length, '--passage_max_len', length],
    ...['--per_device_train_batch_size', `${settings.batchSize / (processes * machines)}`],
    ...['--learning_rate', `${settings.learningRate}`, '--weight_decay', `${settings.weightDecay}`],
    ...['--lr_scheduler_type', lrScheduler === 'constant' ? 'constant_with_warmup' : lrScheduler],
    ...(warmupSteps < 1 ? ['--warmup_ratio', `${warmupSteps}`] : ['--warmup_steps', `${warmupSteps}`]),
    ...(maxSteps === undefined ? ['--num_train_epochs', `${epochs}`] : ['--max_steps', `${maxSteps}`]),
    ...(settings.maxGradNorm === undefined ? [] : ['--max_grad_norm', `${settings.maxGradNorm}`]),
    ...['--seed', `${settings.seed}`, '--save_steps', `${settings.saveSteps}`, '--logging_steps', '1'],
    ...(precision === 'bfloat16' ? ['--bf16'] : []),
  ];
}

function starter(
  target: Target,
  recipe: EncoderRecipe,
  settings: RetrieverTrainingSettings,
  cluster: ClusterSettings,
): string {
  const { processes, machines, mainProcessIp, mainProcessPort } = cluster;
  const several = [
    ...['--nnodes', `${machines}`, '--master_addr', mainProcessIp ?? ''],
    ...(mainProcessPort === undefined ? [] : ['--master_port', `${mainProcessPort}`]),
  ];
  const launch = ['torchrun', '--nproc_per_node', `${processes}`, ...(machines > 1 ? several : [])];
  const rank = machines > 1 ? ` --node_rank ${RANK}` : '';
  const words = target.words(recipe, settings, cluster).map(quoted).join(' ');
  return `#!/bin/sh
# Trains with ${target.name}; ${WRITTEN}
# sh ${STARTER} [INDEX OF THE MACHINE, FROM 0]; MODEL=FOLDER_OR_NAME is another encoder
cd "$(dirname "$0")" || exit 1
[ -n "$MODEL" ] || MODEL=${quoted(recipe.model.path)}
exec ${launch.map(quoted).join(' ')}${rank} ${words} --model_name_or_path "$MODEL"
`;
}

/** A word that the shell reads as it is. */
function quoted(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
