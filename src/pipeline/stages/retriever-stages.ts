import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { readRetrieverRows } from '../../data/index.ts';
import { encoderFigures, searchesRawQueries } from '../../evaluate/index.ts';
import { leftOutOf } from '../../report/index.ts';
import { SEARCH_FORMATS } from '../../retrieve/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { UsageError } from '../../system/index.ts';
import {
  type MetricsRecord,
  parseRetrieverSettings,
  type RetrieverTrainingSettings,
  readMetrics,
  retrieverTrainingShape,
  type TrainRetrieverResult,
  trainRetriever,
} from '../../train/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { type EncoderSource, encoderOf, TRAINED_ENCODERS, untrainedEncoderOf } from '../run/encoders.ts';
import { check } from '../run/recipe-checks.ts';
import { type AlignmentContext, type AlignmentStage, hashOf, outputOf } from '../run/stage.ts';
import { StageWarnings } from '../run/stage-warnings.ts';
import { devTopicsInputs, expandedDevTopics } from './expansion-stages.ts';
import { mineStage, trainingRows, trainingRowsHash } from './mine-stage.ts';
import { ROWS_STAGE, retrieverDataStage, rowsWriter } from './retriever-data-stage.ts';
import { estimateRetriever } from './retriever-estimate.ts';

type EncoderStageName = keyof typeof TRAINED_ENCODERS;

/** The stages that train encoders, for recipes of this order: their rows, with mined negatives or not, the retriever, the student. */
export function retrieverStages(order: Recipe['order']): AlignmentStage[] {
  const encoders = [encoderStage('retriever', order), encoderStage('student', order)];
  return [retrieverDataStage(order), mineStage(order), ...encoders];
}

/** Trains the retriever on expanded queries, or distils the expansions into a student. */
function encoderStage(name: EncoderStageName, order: Recipe['order']): AlignmentStage {
  return {
    name,
    version: 1,
    wanted: (recipe) => recipe.order === order && recipe[name].enabled,
    settings: ({ recipe }) => decisiveSettings(encoderTraining(recipe, name)),
    inputs(context) {
      const { devSearch } = context.recipe.retriever;
      return {
        base: baseOf(context, name).key,
        rows: trainingRowsHash(context),
        devRows: hashOf(context, ROWS_STAGE, 'dev'),
        search: devSearch ? searchInputs(context) : undefined,
      };
    },
    checks: (recipe) => [check(name, () => describeTraining(recipe, name))],
    estimate: (recipe, known) => estimateRetriever(recipe, known, encoderTraining(recipe, name)),
    run: (context, folder) => trainEncoder(context, name, folder),
  };
}

/** The settings for the trainer. */
function encoderTraining(recipe: Recipe, name: EncoderStageName): RetrieverTrainingSettings {
  const { seed = recipe.seed, ...section } = recipe[name];
  const own = Object.keys(retrieverTrainingShape);
  const settings = Object.fromEntries(Object.entries(section).filter(([key]) => own.includes(key)));
  return { ...(settings as Omit<RetrieverTrainingSettings, 'seed'>), seed };
}

/** The settings without those that do not affect the result: the saving interval and the memory. */
function decisiveSettings({ saveSteps: _saved, memory: _held, ...settings }: RetrieverTrainingSettings) {
  return settings;
}

/** @throws UsageError for settings that do not fit together, and for an encoder that cannot be trained */
function describeTraining(recipe: Recipe, name: EncoderStageName): string {
  const { model } = recipe.encoder;
  if (isServerAddress(model)) {
    throw new UsageError(`the encoder is a server, ${model}, which cannot be trained`, {
      fix: 'Set encoder.model to an encoder in the store or to the folder of one.',
    });
  }
  const settings = parseRetrieverSettings(encoderTraining(recipe, name));
  refuseRouter(recipe, name);
  const { method, train, loraR, learningRate } = settings;
  const what = method === 'ridge' ? 'a linear map' : loraR === undefined ? 'all weights' : `LoRA of rank ${loraR}`;
  return `${method}, ${what} of ${train === 'both' ? 'the encoder' : 'its query side'}, learning rate ${learningRate}`;
}

/** An encoder with a query side of its own cannot be trained further. @throws UsageError */
function refuseRouter({ retriever, rounds }: Recipe, name: EncoderStageName): void {
  const hasQuerySide = retriever.enabled && (retriever.train !== 'both' || retriever.method === 'ridge');
  const isTrainedOn = name === 'student' || (rounds > 1 && retriever.start === 'previous');
  if (!hasQuerySide || !isTrainedOn) return;
  throw new UsageError('trains the retriever further, whose queries have an encoder of their own', {
    fix: 'Set retriever.train to both, or train only one of the two (retriever.start: first, student.enabled: false).',
  });
}

/** The encoder that is trained: a student starts from the retriever, if there is one. */
function baseOf(context: AlignmentContext, name: EncoderStageName): EncoderSource {
  const isFirst = name === 'retriever' && context.recipe.retriever.start === 'first';
  return isFirst ? untrainedEncoderOf(context) : encoderOf(context);
}

/** What the search of the dev queries depends on, besides the encoder. */
function searchInputs(context: AlignmentContext): Record<string, unknown> {
  const writer = rowsWriter(context);
  const { similarity, expansionRole } = untrainedEncoderOf(context).retrieval;
  return {
    ...{ corpus: context.data.judged.hashes.corpus, similarity, expansionRole, formats: SEARCH_FORMATS },
    ...{ keepSelf: context.recipe.evaluation.keepSelf, expansions: devTopicsInputs(writer.context, writer.arm) },
  };
}

async function trainEncoder(context: AlignmentContext, name: EncoderStageName, folder: string) {
  const { recipe, models, options } = context;
  const { signal, progress, threads } = options;
  const warnings = await StageWarnings.open(folder);
  const base = baseOf(context, name);
  const { encoder, pooling, maxLength, queryPrefix, documentPrefix } = base.retrieval;
  const settings = encoderTraining(recipe, name);
  const dev = outputOf(context, ROWS_STAGE, 'dev');
  const result = await trainRetriever({
    encoder: await models.store.resolve(encoder, { kind: 'encoder', signal }),
    reading: { pooling, maxLength, queryPrefix, documentPrefix },
    rows: rowsOf(trainingRows(context), signal),
    devRows: dev === undefined ? undefined : rowsOf(dev, signal),
    out: join(folder, 'encoder'),
    settings,
    ...(recipe.retriever.devSearch && (await devSearch(context, base, parseRetrieverSettings(settings), folder))),
    threads,
    warn: (line) => {
      warnings.add(line);
      options.warn(`${name}: ${line}`);
    },
    ...{ signal, progress },
  });
  const encoderFiles = await namedFiles(result, TRAINED_ENCODERS[name]);
  const metrics = result.metricsFile === undefined ? {} : { metrics: result.metricsFile };
  return { outputs: { ...encoderFiles, ...metrics }, result: { ...(await factsOf(result)), warnings: warnings.lines } };
}

/** Measures checkpoints by searching the dev queries with them, as the LLM that expanded the rows expands these. */
async function devSearch(
  context: AlignmentContext,
  { retrieval }: EncoderSource,
  settings: RetrieverTrainingSettings,
  folder: string,
) {
  const { recipe, data, models, options } = context;
  const { signal, progress } = options;
  const writer = rowsWriter(context);
  const topics = await expandedDevTopics(writer.context, writer.arm, folder);
  const evaluate = encoderFigures(data.judged.dataset, topics, {
    documentsChange: settings.train === 'both' && settings.method !== 'ridge',
    searchesRaw: searchesRawQueries(settings),
    retrieval: (encoder) => ({ ...retrieval, alpha: settings.alpha, encoder }),
    keepSelf: recipe.evaluation.keepSelf,
    ...{ store: models.store, signal, progress },
  });
  return { evaluate, evaluation: searchInputs(context) };
}

/** The files of a trained encoder as outputs: its weights under `output`, the others as `output: path`. */
async function namedFiles({ model, parts }: TrainRetrieverResult, output: string): Promise<Record<string, string>> {
  const entries = await readdir(model, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const own = paths.filter((path) => parts.includes(relative(model, path).split(sep)[0]!)).sort();
  const isWeights = (path: string) => /^model\.safetensors(\.index\.json)?$/.test(relative(model, path));
  const weights = own.find(isWeights)!;
  const others = own.filter((path) => path !== weights);
  const named = others.map((path) => [`${output}: ${relative(model, path).replaceAll('\\', '/')}`, path] as const);
  return { [output]: weights, ...Object.fromEntries(named) };
}

async function* rowsOf(file: string, signal: AbortSignal | undefined) {
  for await (const { row } of readRetrieverRows(file, signal)) yield row;
}

/** What later stages and the report read of a training. */
async function factsOf({ model, metricsFile, counts, ...result }: TrainRetrieverResult) {
  const { steps, step, stopped, loss, dev, duplicatesInBatch, seconds, peakBytes } = result;
  const { rows, examples, emptyTexts, cutTexts, negativesThatArePositives } = counts.train;
  const rate = metricsFile === undefined ? undefined : rateOf(await readMetrics(model));
  return {
    ...{ steps, step, stopped, loss, dev, duplicatesInBatch, trainingSeconds: seconds, peakBytes },
    ...{ rows, tokensPerSecond: rate },
    leftOut: [
      ...leftOutOf(rows, { 'training rows that cannot be trained on': rows - examples }),
      ...leftOutOf(rows, { 'negatives that are relevant to their query': negativesThatArePositives }),
      ...leftOutOf(rows, { 'texts without a word': emptyTexts, 'texts cut at the maximum length': cutTexts }),
    ],
  };
}

/** Tokens per second over all training steps. */
function rateOf(metrics: readonly MetricsRecord[]): number | undefined {
  let [tokens, seconds] = [0, 0];
  for (const { split, values } of metrics) {
    if (split !== 'train' || !values.tokens || !values.tokensPerSecond) continue;
    tokens += values.tokens;
    seconds += values.tokens / values.tokensPerSecond;
  }
  return seconds === 0 ? undefined : Math.round(tokens / seconds);
}
