import { access } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BeirDataset,
  buildWordnetDataset,
  cachedSha256,
  openTrainingSource,
  type TrainingSource,
} from '../data/index.ts';
import type { Encoder } from '../embed/index.ts';
import { defaultRetrievalSettings, openEncoder, type RetrievalSettings } from '../evaluate/index.ts';
import { PROMPTS, type PromptTemplate, readPrompt, TASKS, type Task } from '../generate/index.ts';
import { ModelStore, type ResolvedModel } from '../models/index.ts';
import { cacheHome, contentKey, type Progress, SILENT } from '../system/index.ts';
import { isTuned } from './recipe.ts';
import type { Recipe } from './recipe-schema.ts';
import { rememberingEncoder } from './remembering-encoder.ts';

export interface InputOptions {
  threads?: number | undefined;
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** The data set of a recipe, and what names its content. */
export interface AlignmentData {
  dataset: BeirDataset;
  /** Splits by their role. */
  splits: { train: string; dev: string; test: string };
  /** Training queries with or without the text of their gold document. */
  training(withGold: boolean): Promise<TrainingSource>;
  /** SHA-256 by file, for keys and the manifest. */
  hashes: Record<string, string>;
}

/** Opens the data set; WordNet's is made in the cache folder where it is missing. @throws DataError, UsageError */
export async function openData(recipe: Recipe, options: InputOptions = {}): Promise<AlignmentData> {
  const { data, candidates } = recipe;
  const { signal } = options;
  const dataset = await BeirDataset.open(data.kind === 'wordnet' ? await wordnetFolder(data, options) : data.folder);
  const splits =
    data.kind === 'wordnet'
      ? { train: 'train', dev: 'dev', test: 'test' }
      : { train: data.trainSplit, dev: data.devSplit, test: data.testSplit };
  const triples = data.kind === 'beir' ? data.triples : undefined;
  const source = triples === undefined ? { dataset: dataset.folder } : { triples };
  const judged = [
    splits.test,
    ...(isTuned(recipe) ? [splits.dev] : []),
    ...(triples === undefined ? [splits.train] : []),
  ];
  const hashes: Record<string, string> = {
    corpus: await dataset.corpusHash(signal),
    queries: await cachedSha256(await dataset.queriesFile(), signal),
  };
  for (const split of judged) hashes[`qrels/${split}`] = await cachedSha256(await dataset.qrelsFile(split), signal);
  if (triples !== undefined) hashes.triples = await cachedSha256(triples, signal);
  return {
    ...{ dataset, splits, hashes },
    training: (withGold) =>
      openTrainingSource({
        ...source,
        ...{ split: splits.train, limit: candidates.queries, withGold, signal },
        sampleSeed: candidates.sampleSeed ?? recipe.seed,
      }),
  };
}

/** The same settings always give the same bytes, so that all runs share one copy. */
async function wordnetFolder(
  data: Extract<Recipe['data'], { kind: 'wordnet' }>,
  { signal, progress }: InputOptions,
): Promise<string> {
  const { kind: _wordnet, ...settings } = data;
  const out = join(cacheHome(), 'datasets', `wordnet-${contentKey(settings).slice(0, 10)}`);
  await buildWordnetDataset({ out, ...settings }, { signal, progress });
  return out;
}

/** What names the training queries in a key. */
export function trainingQueriesKey({ hashes, splits }: AlignmentData, recipe: Recipe): Record<string, unknown> {
  const { corpus, queries, triples } = hashes;
  const sample = { limit: recipe.candidates.queries, seed: recipe.candidates.sampleSeed ?? recipe.seed };
  if (triples !== undefined) return { triples, ...sample };
  return { corpus, queries, qrels: hashes[`qrels/${splits.train}`], ...sample };
}

/** The models of a recipe, resolved but not loaded. */
export interface AlignmentModels {
  store: ModelStore;
  generator: ResolvedModel;
  answerGenerator: ResolvedModel | undefined;
  encoder: Encoder;
  /** How the encoder searches; `alpha` is each arm's own. */
  retrieval: RetrievalSettings;
}

/** @throws ModelError, NetworkError */
export async function openModels(recipe: Recipe, options: InputOptions = {}): Promise<AlignmentModels> {
  const { offline = false, progress = SILENT, signal } = options;
  const store = new ModelStore({ offline, progress });
  const generator = await store.resolve(recipe.generator.model, { kind: 'generator', signal });
  const other = recipe.answerGenerator;
  const answerGenerator =
    other === undefined || other.servers.length > 0
      ? undefined
      : await store.resolve(other.model, { kind: 'generator', signal });
  const retrieval = retrievalOf(recipe, recipe.encoder.model, options);
  const encoder = rememberingEncoder(await openEncoder(retrieval, store, signal));
  return { store, generator, answerGenerator, encoder, retrieval };
}

/** The settings of a search with one encoder; what the recipe says of its own encoder is not said of another. */
export function retrievalOf(recipe: Recipe, encoder: string, { threads, offline }: InputOptions): RetrievalSettings {
  const { model, ...own } = recipe.encoder;
  const { depth, keepSelf, k1, b, queryRepeats } = recipe.evaluation;
  const { similarity, expansionRole } = own;
  const about = encoder === model ? own : { similarity, expansionRole };
  return defaultRetrievalSettings({ ...about, encoder, depth, keepSelf, k1, b, queryRepeats, threads, offline });
}

/** The prompt that a recipe names: a published one, or a file. @throws DataError, UsageError */
export async function openPrompt(name: string): Promise<PromptTemplate> {
  const isTask = (TASKS as readonly string[]).includes(name);
  const isFile = await access(name).then(
    () => true,
    () => false,
  );
  return isTask && !isFile ? PROMPTS[name as Task] : readPrompt(name);
}
