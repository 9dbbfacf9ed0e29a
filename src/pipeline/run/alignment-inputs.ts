import { join } from 'node:path';
import {
  BeirDataset,
  buildWordnetDataset,
  cachedSha256,
  openRetrieverSource,
  openTrainingSource,
  type RetrieverSource,
  type TrainingSource,
  WORDNET_CACHE,
} from '../../data/index.ts';
import { PROMPTS, PromptTemplate, readPrompt, TASKS, type Task } from '../../generate/index.ts';
import { ModelStore, type ResolvedModel } from '../../models/index.ts';
import { defaultRetrievalSettings, type RetrievalSettings } from '../../retrieve/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { contentKey, isThere, type Progress, refuseServerOffline, SILENT } from '../../system/index.ts';
import { needsDev, trainsEncoder } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { Encoders } from './encoders.ts';
import type { RecipeCheck } from './recipe-checks.ts';

export interface InputOptions {
  threads?: number | undefined;
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** The data of a recipe, and the hashes of its content. */
export interface AlignmentData {
  /** The data set of the training queries. */
  dataset: BeirDataset;
  trainSplit: string;
  /** Opens the training queries, with or without the text of their gold document. */
  training(withGold: boolean): Promise<TrainingSource>;
  /** Opens the training rows of the retriever. */
  retrieverRows(): Promise<RetrieverSource>;
  /** The data set whose documents their negatives are mined from; undefined if the rows come from a file. */
  rowsCorpus: BeirDataset | undefined;
  /** SHA-256 of the training data; `rows` are the retriever's, if they come from a file of their own. */
  hashes: {
    corpus: string;
    queries: string;
    qrels?: string | undefined;
    triples?: string | undefined;
    rows?: string | undefined;
  };
  /** The data for tuning and testing the arms: usually the same data set. */
  judged: JudgedData;
}

/** A data set with its development and test queries. */
export interface JudgedData {
  /** For people. */
  name: string;
  dataset: BeirDataset;
  splits: { dev: string; test: string };
  /** SHA-256; that of the dev queries only if something is chosen on them. */
  hashes: { corpus: string; queries: string; dev?: string | undefined; test: string };
}

/** Opens the data. WordNet's is built in the cache folder if it is missing. @throws DataError, UsageError */
export async function openData(recipe: Recipe, options: InputOptions = {}): Promise<AlignmentData> {
  const { data, candidates } = recipe;
  const { signal } = options;
  const dataset = await BeirDataset.open(data.kind === 'wordnet' ? await wordnetFolder(data, options) : data.folder);
  const trainSplit = data.kind === 'wordnet' ? 'train' : data.trainSplit;
  const triples = data.kind === 'beir' ? data.triples : undefined;
  const source = triples === undefined ? { dataset: dataset.folder } : { triples };
  const ownRows = rowsFileOf(recipe);
  const rows = ownRows ?? triples;
  const sha256 = (file: string) => cachedSha256(file, signal);
  const hashes = {
    corpus: await dataset.corpusHash(signal),
    queries: await sha256(await dataset.queriesFile()),
    qrels: triples === undefined ? await sha256(await dataset.qrelsFile(trainSplit)) : undefined,
    triples: triples === undefined ? undefined : await sha256(triples),
    rows: ownRows === undefined ? undefined : await sha256(ownRows),
  };
  return {
    ...{ dataset, trainSplit, hashes },
    judged: await openJudged(recipe, dataset, signal),
    training: (withGold) =>
      openTrainingSource({
        ...source,
        ...{ split: trainSplit, limit: candidates.queries, withGold, signal },
        sampleSeed: candidates.sampleSeed ?? recipe.seed,
      }),
    rowsCorpus: rows === undefined ? dataset : undefined,
    retrieverRows: () =>
      openRetrieverSource({
        ...(rows === undefined ? { dataset: dataset.folder } : { rows }),
        ...{ split: trainSplit, signal, ...rowsSample(recipe) },
      }),
  };
}

/** The retriever's own file of rows, if an encoder is trained. */
function rowsFileOf(recipe: Recipe): string | undefined {
  return trainsEncoder(recipe) ? recipe.retriever.rows : undefined;
}

function rowsSample({ retriever, seed }: Recipe) {
  return { limit: retriever.queries, sampleSeed: retriever.seed ?? seed };
}

/** Checks each file of the data separately: {@link openData} stops at the first missing file, but a plan lists all. */
export function dataFileChecks(recipe: Recipe): RecipeCheck[] {
  const { data, evaluation } = recipe;
  const files = (input: string, folder: string, splits: readonly string[]): RecipeCheck[] => {
    const inside = async (find: (dataset: BeirDataset) => Promise<string>) => find(await BeirDataset.open(folder));
    return [
      { input: `${input}.folder`, find: () => inside((dataset) => dataset.queriesFile()) },
      ...splits.map((split) => ({ input, find: () => inside((dataset) => dataset.qrelsFile(split)) })),
    ];
  };
  const judged = ({ devSplit, testSplit }: { devSplit: string; testSplit: string }) =>
    needsDev(recipe) ? [devSplit, testSplit] : [testSplit];
  const checks: RecipeCheck[] = [];
  if (data.kind === 'beir') {
    const { triples } = data;
    const own = evaluation.dataset === undefined ? judged(data) : [];
    checks.push(...files('data', data.folder, triples === undefined ? [data.trainSplit, ...own] : own));
    if (triples !== undefined) checks.push({ input: 'data.triples', find: () => cachedSha256(triples) });
  }
  const rows = rowsFileOf(recipe);
  if (rows !== undefined) checks.push({ input: 'retriever.rows', find: () => cachedSha256(rows) });
  const other = evaluation.dataset;
  if (other !== undefined) checks.push(...files('evaluation.dataset', other.folder, judged(other)));
  return checks;
}

/**
 * Opens the data set of the evaluation if it names one: the adapter is then judged on data that it was not trained for.
 */
async function openJudged(recipe: Recipe, own: BeirDataset, signal: AbortSignal | undefined): Promise<JudgedData> {
  const { data, evaluation } = recipe;
  const other = evaluation.dataset ?? (data.kind === 'beir' ? data : undefined);
  const dataset = evaluation.dataset === undefined ? own : await BeirDataset.open(evaluation.dataset.folder);
  const splits = { dev: other?.devSplit ?? 'dev', test: other?.testSplit ?? 'test' };
  const qrels = async (split: string) => cachedSha256(await dataset.qrelsFile(split), signal);
  const hashes = {
    corpus: await dataset.corpusHash(signal),
    queries: await cachedSha256(await dataset.queriesFile(), signal),
    dev: needsDev(recipe) ? await qrels(splits.dev) : undefined,
    test: await qrels(splits.test),
  };
  return { name: other === undefined ? 'WordNet' : dataset.name, dataset, splits, hashes };
}

/** The folder of the WordNet data. Equal settings give equal bytes, so all runs share one copy. */
async function wordnetFolder(
  data: Extract<Recipe['data'], { kind: 'wordnet' }>,
  { signal, progress }: InputOptions,
): Promise<string> {
  const { kind: _wordnet, ...settings } = data;
  const out = join(WORDNET_CACHE.folder(), `wordnet-${contentKey(settings).slice(0, 10)}`);
  await buildWordnetDataset({ out, ...settings }, { signal, progress });
  return out;
}

/** The part of a key that identifies the training queries. */
export function trainingQueriesKey({ hashes }: AlignmentData, recipe: Recipe): Record<string, unknown> {
  const { corpus, queries, qrels, triples } = hashes;
  const sample = { limit: recipe.candidates.queries, seed: recipe.candidates.sampleSeed ?? recipe.seed };
  if (triples !== undefined) return { triples, ...sample };
  return { corpus, queries, qrels, ...sample };
}

/** The part of a key that identifies the training rows of the retriever. */
export function retrieverRowsKey({ hashes }: AlignmentData, recipe: Recipe): Record<string, unknown> {
  const { corpus, queries, qrels, triples } = hashes;
  const rows = hashes.rows ?? triples;
  return { ...(rows === undefined ? { corpus, queries, qrels } : { rows }), ...rowsSample(recipe) };
}

/** The models of a recipe, resolved but not loaded. */
export interface AlignmentModels {
  store: ModelStore;
  generator: ResolvedModel;
  answerGenerator: ResolvedModel | undefined;
  /** Opened when first used (`encoderOf`). */
  encoders: Encoders;
  /** Fingerprints of the other judging encoders, by name; a server has none. */
  judges: Record<string, string>;
}

/** @throws ModelError, NetworkError */
export async function openModels(recipe: Recipe, options: InputOptions = {}): Promise<AlignmentModels> {
  const { offline, progress = SILENT, signal } = options;
  const store = new ModelStore({ offline, progress });
  const generator = await store.resolve(recipe.generator.model, { kind: 'generator', signal });
  const other = recipe.answerGenerator;
  const answerGenerator =
    other?.model === undefined || other.servers.length > 0
      ? undefined
      : await store.resolve(other.model, { kind: 'generator', signal });
  const judges: Record<string, string> = {};
  for (const name of judgingEncoders(recipe)) {
    judges[name] = (await store.resolve(name, { kind: 'encoder', signal })).fingerprint;
  }
  const { model } = recipe.encoder;
  const retrieval = retrievalOf(recipe, model, options);
  if (isServerAddress(model)) refuseServerOffline(model, retrieval.offline);
  const encoder = isServerAddress(model) ? undefined : await store.resolve(model, { kind: 'encoder', signal });
  const encoders = new Encoders(store, encoder, retrieval, signal, progress);
  return { store, generator, answerGenerator, encoders, judges };
}

/** The encoders among the other judges that are neither BM25 nor a server. */
export function judgingEncoders({ evaluation }: Recipe): string[] {
  return evaluation.judges.filter((name) => name !== 'bm25' && !isServerAddress(name));
}

/** The settings of a search with an encoder. Settings of the recipe's own encoder do not apply to another one. */
export function retrievalOf(recipe: Recipe, encoder: string, { threads, offline }: InputOptions): RetrievalSettings {
  const { model, ...own } = recipe.encoder;
  const { depth, keepSelf, k1, b, analyzer, queryRepeats } = recipe.evaluation;
  const { similarity, expansionRole } = own;
  const about = encoder === model ? own : { similarity, expansionRole };
  return defaultRetrievalSettings({
    ...about,
    encoder,
    depth,
    keepSelf,
    k1,
    b,
    analyzer,
    queryRepeats,
    threads,
    offline,
  });
}

/**
 * Opens the prompt that a recipe contains (a text with {query}) or names: a published one, or a file.
 * @throws DataError, UsageError
 */
export async function openPrompt(name: string): Promise<PromptTemplate> {
  if (name.includes('{query}')) return new PromptTemplate('own', name.trimEnd());
  const isTask = (TASKS as readonly string[]).includes(name);
  return isTask && !(await isThere(name)) ? PROMPTS[name as Task] : readPrompt(name);
}
