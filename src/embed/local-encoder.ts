import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { loadTokenizer, openCheckpoint, type ResolvedModel, type TextTokenizer, weightsKey } from '../models/index.ts';
import {
  type BertConfig,
  type BertEncoder,
  bertConfigSchema,
  buildBertEncoder,
  type CompileOptions,
  compileModel,
  GRAPH_CACHE,
  type Pooling,
  Runtime,
} from '../nn/index.ts';
import { AbortedError, contentKey, ModelError, throwIfAborted, UsageError } from '../system/index.ts';
import { type Batch, planAlike, planBatches, windows } from './batches.ts';
import { type CutText, CuttingTokenizer } from './cutting-tokenizer.ts';
import type { EncodeOptions, Encoder, TextRole } from './encoder.ts';
import { type EncoderOptions, encoderOptionsSchema } from './encoder-options.ts';
import { refuseBrokenVectors } from './finite-vectors.ts';
import { choosePrefixes, type Prefixes } from './prefixes.ts';
import { RoutedEncoder } from './routed-encoder.ts';
import { type RouteSettings, readNested, readRoutes } from './router.ts';
import { type FolderSettings, readFolderSettings, readPrompts, readSettings } from './sentence-transformers.ts';

/** Increase this if the same model and text would give other vectors than before. */
export const ENCODER_FORMAT = 2;

/** The maximum number of workers; they share the machine's threads. */
const MAX_WORKERS = 8;

/** Weights above this size are not copied into each worker. */
const SHARED_WEIGHTS = 200e6;

/** The limit of the tokenizer, for a model folder that sets no other; Transformers writes 1e30 for "none". */
const tokenizerLimitSchema = z.object({ model_max_length: z.number().positive().nullish() });
const configNameSchema = z.object({ _name_or_path: z.string().optional() });

/** What a folder says of how texts become vectors. */
export interface EncoderRecipe {
  model: ResolvedModel;
  config: BertConfig;
  pooling: Pooling;
  normalize: boolean;
  maxLength: number;
  lowerCase: boolean;
  prefixes: Prefixes;
  precision: 'f32' | 'int8';
  similarity: string;
  /** Folder of a linear map between pooling and normalisation. */
  dense?: string | undefined;
}

/**
 * Loads an encoder of the BERT family from a folder of sentence-transformers or Transformers, to run in ONNX Runtime on
 * worker threads. The first load writes the compiled model to the cache; later loads map it.
 *
 * A document's vector has the same bits whatever is encoded with it. Queries are batched more freely: with `f32`, the
 * other queries of a batch change a vector only by rounding; with `int8`, the texts of a batch share one quantisation
 * range. Equal lists give equal bits.
 * @throws ModelError if the folder is broken or of another family; UsageError if options contradict the model
 */
export async function loadEncoder(model: ResolvedModel, options: EncoderOptions = {}): Promise<Encoder> {
  const { signal, ...rest } = options;
  const settings = parseOptions(rest);
  const recipes = await readEncoderRecipes(model, rest);
  if ('both' in recipes) return openLocal(recipes.both, settings, signal);
  const query = await openLocal(recipes.query, settings, signal);
  try {
    return new RoutedEncoder(model.name, query, await openLocal(recipes.document, settings, signal));
  } catch (error) {
    await query.close();
    throw error;
  }
}

type ParsedOptions = z.output<typeof encoderOptionsSchema>;

async function openLocal(
  recipe: EncoderRecipe,
  settings: ParsedOptions,
  signal: AbortSignal | undefined,
): Promise<LocalEncoder> {
  const { model } = recipe;
  const { tokenizer, cutting } = await loadEncoderTokenizer(recipe);
  const checkpoint = await openCheckpoint(model.path);
  const dense = recipe.dense === undefined ? undefined : await openCheckpoint(recipe.dense);
  try {
    const runtime = await openEncoderRuntime(buildBertEncoder(checkpoint, recipe.config, { ...recipe, dense }), {
      ...{ cache: settings.cache ?? GRAPH_CACHE.folder(), fingerprint: model.fingerprint, about: model.name, signal },
      ...{ threads: settings.threads ?? availableParallelism(), precision: recipe.precision },
    });
    return new LocalEncoder(recipe, await documentKey(recipe, signal), { tokenizer, cutting, runtime });
  } finally {
    await Promise.all([checkpoint.close(), dense?.close()]);
  }
}

/** The part of a fingerprint that decides a document's vector, by content: equal encoders in two folders share their vectors. */
async function documentKey(
  { model, config, dense, prefixes, ...recipe }: EncoderRecipe,
  signal: AbortSignal | undefined,
): Promise<string> {
  const weights = await weightsKey(model.path, signal);
  const map = dense === undefined ? undefined : await weightsKey(dense, signal);
  return contentKey({ version: ENCODER_FORMAT, weights, map, config, ...decisive(recipe), prefix: prefixes.document });
}

/** The settings that decide a vector. */
function decisive({ pooling, normalize, maxLength, precision, lowerCase }: RecipeSettings) {
  return { pooling, normalized: normalize, maxLength, precision, lowerCase };
}

type RecipeSettings = Pick<EncoderRecipe, 'pooling' | 'normalize' | 'maxLength' | 'precision' | 'lowerCase'>;

/** Compiles an encoder and opens it in worker threads of one thread each, which share the work by batches. */
export async function openEncoderRuntime(
  { graph, weights }: BertEncoder,
  { threads, precision, ...compile }: CompileOptions & { threads: number; precision: 'f32' | 'int8' },
): Promise<Runtime> {
  const { file, weightBytes } = await compileModel(graph, weights.loaders, compile);
  const workers = Math.min(threads, MAX_WORKERS);
  return Runtime.open(file, {
    ...{ workers, threads: Math.floor(threads / workers) },
    prepack: precision === 'int8' || weightBytes < SHARED_WEIGHTS,
  });
}

function parseOptions(options: Omit<EncoderOptions, 'signal'>) {
  const parsed = encoderOptionsSchema.safeParse(options);
  if (parsed.success) return parsed.data;
  const why = z.prettifyError(parsed.error).replace(/\s+/g, ' ');
  throw new UsageError(`encoder options: ${why}`, { fix: 'Correct the option.' });
}

/** How a text becomes tokens, by a recipe: its prefixes, its limit. @throws ModelError if the tokenizer is another model's */
export async function loadEncoderTokenizer(
  recipe: EncoderRecipe,
): Promise<{ tokenizer: TextTokenizer; cutting: CuttingTokenizer }> {
  const tokenizer = await loadTokenizer(recipe.model.path, recipe);
  checkVocabulary(recipe, tokenizer);
  return { tokenizer, cutting: await CuttingTokenizer.create(tokenizer, recipe.maxLength) };
}

/** Reads the recipe of a model folder. @throws ModelError, UsageError as {@link loadEncoder} */
export function readEncoderRecipe(
  model: ResolvedModel,
  options: Omit<EncoderOptions, 'signal'> = {},
): Promise<EncoderRecipe> {
  return readRecipe(model, parseOptions(options));
}

/** One recipe for both roles, or one for each: of a sentence-transformers Router. */
export type EncoderRecipes = { both: EncoderRecipe } | Record<TextRole, EncoderRecipe>;

/** Reads the recipes of a model folder, with or without a Router. @throws ModelError, UsageError as {@link loadEncoder} */
export async function readEncoderRecipes(
  model: ResolvedModel,
  options: Omit<EncoderOptions, 'signal'> = {},
): Promise<EncoderRecipes> {
  const settings = parseOptions(options);
  const routes = await readRoutes(model.path);
  if (routes === undefined) return { both: await readRecipe(model, settings) };
  const read = (role: TextRole) => readRecipe(model, settings, routes[role]);
  return { query: await read('query'), document: await read('document') };
}

/** @param role of a Router, which has the files of one role's encoder in a folder of its own */
async function readRecipe(whole: ResolvedModel, options: ParsedOptions, role?: RouteSettings): Promise<EncoderRecipe> {
  const route = role ?? (await readNestedOf(whole));
  const model = route === undefined ? whole : modelOfRoute(whole, route);
  if (model.format === 'gguf') {
    throw new ModelError('is a GGUF file, but encoders are loaded from model folders', {
      file: model.path,
      fix: 'Pass the folder of the original model (config.json, tokenizer.json, model.safetensors).',
    });
  }
  const file = join(model.path, 'config.json');
  const config = await readSettings(file, bertConfigSchema);
  if (config === undefined) throw new ModelError('is missing', { file, fix: 'Download the model again.' });
  const names = await readSettings(file, configNameSchema);
  const folder = await settingsOf(model.path, whole.path, route);
  const known = choosePrefixes(folder, [model.name, model.path, model.source, names?._name_or_path ?? '']);
  return {
    model,
    config,
    pooling: options.pooling ?? folder.pooling,
    normalize: options.normalize ?? folder.normalize,
    maxLength: await chooseMaxLength(model, config, folder, options.maxLength),
    lowerCase: folder.lowerCase,
    prefixes: {
      query: options.queryPrefix ?? known.query,
      document: options.documentPrefix ?? known.document,
    },
    precision: options.precision,
    similarity: folder.similarity ?? (folder.normalize ? 'cosine' : 'dot'),
    dense: route?.dense,
  };
}

async function readNestedOf({ path, format }: ResolvedModel): Promise<RouteSettings | undefined> {
  if (format === 'gguf') return undefined;
  return readNested(path, Object.keys((await readPrompts(path)).prompts).length > 0);
}

/** The encoder of one role, by a fingerprint of its own: the weights of both have the same names. */
function modelOfRoute(whole: ResolvedModel, { folder, dense }: RouteSettings): ResolvedModel {
  const place = relative(whole.path, folder);
  const fingerprint = contentKey([whole.fingerprint, place, dense && relative(whole.path, dense)]);
  return { ...whole, path: folder, fingerprint };
}

/** Prompts stand in the model's folder, limits in that of the network. */
async function settingsOf(path: string, whole: string, route: RouteSettings | undefined): Promise<FolderSettings> {
  const own = await readFolderSettings(path);
  if (route === undefined) return own;
  const { prompts, defaultPrompt, similarity } = await readPrompts(whole);
  return { ...own, prompts, defaultPrompt, similarity, pooling: route.pooling, normalize: route.normalize };
}

async function chooseMaxLength(
  { path }: ResolvedModel,
  { max_position_embeddings: positions }: BertConfig,
  { maxLength: stated }: FolderSettings,
  wanted: number | undefined,
): Promise<number> {
  if (wanted !== undefined && wanted > positions) {
    throw new UsageError(`a maximum length of ${wanted} tokens, but the model has ${positions} positions`, {
      file: path,
      fix: `Use at most ${positions}.`,
    });
  }
  const tokenizer = await readSettings(join(path, 'tokenizer_config.json'), tokenizerLimitSchema);
  return wanted ?? Math.min(stated ?? tokenizer?.model_max_length ?? positions, positions);
}

function checkVocabulary({ model, config }: EncoderRecipe, { vocabularySize }: TextTokenizer): void {
  if (vocabularySize <= config.vocab_size) return;
  throw new ModelError(`the tokenizer has ${vocabularySize} tokens, but the model has ${config.vocab_size}`, {
    file: model.path,
    fix: 'Use the tokenizer that belongs to the model.',
  });
}

class LocalEncoder implements Encoder {
  readonly id: string;
  readonly fingerprint: string;
  readonly documentFingerprint: string;
  readonly dimensions: number;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly #recipe: EncoderRecipe;
  readonly #padId: number;
  readonly #tokenizer: CuttingTokenizer;
  readonly #runtime: Runtime;

  constructor(
    recipe: EncoderRecipe,
    documentFingerprint: string,
    { tokenizer, cutting, runtime }: { tokenizer: TextTokenizer; cutting: CuttingTokenizer; runtime: Runtime },
  ) {
    const { model, config, prefixes, similarity } = recipe;
    this.#recipe = recipe;
    this.#padId = tokenizer.padId;
    this.#tokenizer = cutting;
    this.#runtime = runtime;
    this.documentFingerprint = documentFingerprint;
    this.id = model.name;
    this.dimensions = config.hidden_size;
    const settings = decisive(recipe);
    this.fingerprint = contentKey({ version: ENCODER_FORMAT, model: model.fingerprint, ...settings, prefixes });
    this.settings = { ...settings, queryPrefix: prefixes.query, documentPrefix: prefixes.document, similarity };
  }

  async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    const vectors = new Float32Array(texts.length * this.dimensions);
    const stop = new AbortController();
    const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    setMaxListeners(0, signal); // one per running batch
    const running: Promise<void>[] = [];
    try {
      for (const { start, end } of windows(texts)) {
        const cut = await unlessAborted(this.#tokenize(texts.slice(start, end), role), signal);
        for (const [at, { ids, isCut }] of cut.entries()) {
          if (isCut) options.onCut?.(start + at);
          options.onTokens?.(start + at, ids.length);
        }
        const ids = cut.map((one) => one.ids);
        const target = vectors.subarray(start * this.dimensions, end * this.dimensions);
        const window = this.#encodeWindow(ids, target, role, { ...options, signal });
        window.catch(() => {});
        running.push(window);
        if (running.length > 1) await running.shift();
      }
      await Promise.all(running);
    } finally {
      stop.abort();
    }
    refuseBrokenVectors(vectors, texts, this.id);
    return vectors;
  }

  close(): Promise<void> {
    return this.#runtime.close();
  }

  #tokenize(texts: readonly string[], role: TextRole): Promise<CutText[]> {
    const { prefixes } = this.#recipe;
    return this.#tokenizer.encode(texts.map((text) => prefixes[role] + text));
  }

  async #encodeWindow(
    ids: Int32Array[],
    target: Float32Array,
    role: TextRole,
    { signal, onTexts }: EncodeOptions,
  ): Promise<void> {
    const lengths = ids.map(({ length }) => length);
    const batches = role === 'document' ? this.#planDocuments(lengths) : planBatches(lengths);
    await Promise.all(
      batches.map(async (batch) => {
        const { vectors } = await this.#runtime.run(this.#feeds(batch, ids), signal);
        const rows = vectors!.data as Float32Array;
        batch.texts.forEach((text, row) => {
          target.set(rows.subarray(row * this.dimensions, (row + 1) * this.dimensions), text * this.dimensions);
        });
        onTexts?.(batch.texts.length);
      }),
    );
  }

  /** Plans batches of documents. Their vectors are stored, so they must not depend on the rest of the batch. */
  #planDocuments(lengths: readonly number[]): Batch[] {
    const { maxLength, precision } = this.#recipe;
    return planAlike(lengths, { longest: maxLength, alone: precision === 'int8' });
  }

  #feeds({ texts, longest }: Batch, ids: Int32Array[]) {
    const padded = new Int32Array(texts.length * longest).fill(this.#padId);
    const lengths = new Int32Array(texts.length);
    texts.forEach((text, row) => {
      padded.set(ids[text]!, row * longest);
      lengths[row] = ids[text]!.length;
    });
    return {
      ids: { dtype: 'int32' as const, shape: [texts.length, longest], data: padded },
      lengths: { dtype: 'int32' as const, shape: [texts.length], data: lengths },
    };
  }
}

/** Waits for work that cannot be stopped; throws AbortedError as soon as the signal fires. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  throwIfAborted(signal);
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(new AbortedError());
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
