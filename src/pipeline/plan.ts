import { type ModelKind, ModelNotThereError, ModelStore, type ResolvedModel } from '../models/index.ts';
import { isAbort, LlmQeError, ModelError, type Progress, UsageError } from '../system/index.ts';
import { findFinished, openContext } from './align.ts';
import { type AlignmentData, type InputOptions, judgingEncoders, openData, openPrompt } from './alignment-inputs.ts';
import { type RecipeCheck, settingsChecks, trainingChecks, trainingsOf } from './check-recipe.ts';
import { generationSeeds } from './expansion-stages.ts';
import { isTuned } from './recipe.ts';
import { recipeHash } from './recipe-hash.ts';
import type { Recipe } from './recipe-schema.ts';
import { type FinishedStage, RunFolder } from './run-folder.ts';
import type { AlignmentContext, Engine, StageName } from './stages.ts';

/** One input that a recipe names, or a part of its settings. */
export interface PlannedInput {
  input: string;
  /** Bad is a setting that the run would refuse. */
  state: 'ready' | 'to fetch' | 'missing' | 'bad';
  detail: string;
}

/** What one stage would take at most: every text is reckoned at its token limit. */
export interface PlannedStage {
  stage: StageName;
  state: 'finished' | 'to do';
  /** Queries, or pairs, and what is made of them. */
  work: string;
  tokens: number;
  /** Bytes it leaves on the disk. */
  bytes: number;
  seconds: number;
}

export interface AlignmentPlan {
  recipe: string;
  /** Known once all inputs are ready: it is made of their content. */
  recipeHash: string | undefined;
  inputs: PlannedInput[];
  stages: PlannedStage[];
  /** Of what is still to do. */
  total: { tokens: number; bytes: number; seconds: number };
  rates: { generation: number; training: number; source: string };
}

export interface PlanOptions extends InputOptions {
  folder: string;
  engine: Engine;
  progress: Progress;
}

/**
 * The default models on two cores, tokens a second: 135 million parameters, 32 texts side by side, prompts of 60 tokens.
 * Larger models are slower about as their parameters are more.
 */
const STATED = { generation: 150, training: 250 };
/** A token of English in bytes of JSON. */
const TOKEN_BYTES = 4.6;
/** What a record holds beside its text. */
const RECORD_BYTES = 240;
/** Tokens of a prompt that is not known yet. */
const PROMPT_TOKENS = 60;

/**
 * Says what a recipe would take, and what of it would stop the run, before anything is run. Nothing is fetched; what stands in the
 * folder already is not counted.
 */
export async function planAlignment(recipe: Recipe, options: PlanOptions): Promise<AlignmentPlan> {
  const { inputs, data, hash, finished } = await lookAt(recipe, options);
  const counts = await countQueries(recipe, data);
  const rates = await ratesOf(recipe, finished, options.folder);
  const prompt = await openPrompt(recipe.prompt).then(
    ({ text }) => promptTokens(text),
    () => PROMPT_TOKENS,
  );
  const stages = estimate(recipe, counts, rates, prompt).map((stage) => ({
    ...stage,
    state: finished.has(stage.stage) ? ('finished' as const) : ('to do' as const),
  }));
  const left = stages.filter(({ state }) => state === 'to do');
  const sum = (pick: (stage: PlannedStage) => number) => left.reduce((total, stage) => total + pick(stage), 0);
  return {
    ...{ recipe: recipe.name, recipeHash: hash, inputs, stages, rates },
    total: {
      tokens: sum(({ tokens }) => tokens),
      bytes: sum(({ bytes }) => bytes),
      seconds: sum((one) => one.seconds),
    },
  };
}

/** Looks at data, models and settings, and at what is finished. */
async function lookAt(recipe: Recipe, options: PlanOptions) {
  const inputs: PlannedInput[] = [];
  const data = await checked(inputs, `data set (${recipe.data.kind})`, async () => {
    const opened = await openData(recipe, options);
    return { value: opened, detail: opened.dataset.folder };
  });
  let base: ResolvedModel | undefined;
  for (const { name, kind } of modelsOf(recipe)) {
    const model = await checkModel(inputs, name, kind, options);
    if (name === recipe.generator.model) base = model;
  }
  await runChecks(inputs, settingsChecks(recipe, options));
  const isReady = inputs.every(({ state }) => state === 'ready');
  const { hash, finished } = isReady ? await known(recipe, options) : { hash: undefined, finished: NONE };
  if (trainingsOf(recipe).some((name) => !finished.has(name))) {
    await runChecks(inputs, trainingChecks(recipe, base, options));
  }
  return { inputs, data, hash, finished };
}

async function runChecks(inputs: PlannedInput[], checks: readonly RecipeCheck[]): Promise<void> {
  for (const { input, find } of checks) {
    await checked(inputs, input, async () => ({ value: undefined, detail: await find() }));
  }
}

/** Opens an input, or notes what is wrong with it. */
async function checked<T>(
  inputs: PlannedInput[],
  input: string,
  open: () => Promise<{ value: T; detail: string }>,
): Promise<T | undefined> {
  try {
    const { value, detail } = await open();
    inputs.push({ input, state: 'ready', detail });
    return value;
  } catch (error) {
    if (isAbort(error) || !(error instanceof LlmQeError)) throw error;
    const isThere = error instanceof UsageError || error instanceof ModelError;
    inputs.push({ input, state: isThere ? 'bad' : 'missing', detail: describeFault(error) });
    return undefined;
  }
}

function describeFault({ message, mend }: LlmQeError): string {
  return `${message}. ${mend}`;
}

function modelsOf(recipe: Recipe) {
  const { generator, answerGenerator, encoder } = recipe;
  return [
    { name: generator.model, kind: 'generator' as const },
    ...(answerGenerator?.servers.length === 0 ? [{ name: answerGenerator.model, kind: 'generator' as const }] : []),
    ...[encoder.model, ...judgingEncoders(recipe)].map((name) => ({ name, kind: 'encoder' as const })),
  ].filter(({ name }) => !/^https?:/.test(name));
}

/** Looks without fetching: what the store lacks and could fetch is to be fetched, all else is missing or no model of the kind. */
async function checkModel(
  inputs: PlannedInput[],
  name: string,
  kind: ModelKind,
  options: PlanOptions,
): Promise<ResolvedModel | undefined> {
  const store = new ModelStore({ offline: true, progress: options.progress });
  const input = `${kind} ${name}`;
  try {
    const model = await store.resolve(name, { kind, signal: options.signal });
    inputs.push({ input, state: 'ready', detail: model.path });
    return model;
  } catch (error) {
    if (isAbort(error) || !(error instanceof LlmQeError)) throw error;
    const isFetched = error instanceof ModelNotThereError && options.offline !== true;
    inputs.push({ input, state: isFetched ? 'to fetch' : 'missing', detail: describeFault(error) });
    return undefined;
  }
}

interface QueryCounts {
  train: number;
  dev: number;
  test: number;
  corpus: number;
}

/** Counts where the data is there; else what the recipe says. */
async function countQueries(recipe: Recipe, data: AlignmentData | undefined): Promise<QueryCounts> {
  const { candidates, evaluation, data: source } = recipe;
  const stated =
    source.kind === 'wordnet' ? source : { train: Number.POSITIVE_INFINITY, dev: 1000, test: 1000, corpus: 1_000_000 };
  const most = async (split: 'dev' | 'test') =>
    data === undefined ? stated[split] : (await data.judged.dataset.qrels(data.judged.splits[split])).size;
  let train = 0;
  if (data !== undefined) for await (const _query of (await data.training(false))()) train++;
  return {
    train: data === undefined ? Math.min(stated.train, candidates.queries ?? stated.train) : train,
    dev: !isTuned(recipe) ? 0 : Math.min(await most('dev'), evaluation.dev ?? Number.POSITIVE_INFINITY),
    test: Math.min(await most('test'), evaluation.test ?? Number.POSITIVE_INFINITY),
    corpus: data === undefined ? stated.corpus : await data.judged.dataset.count(),
  };
}

const NONE: AlignmentContext['done'] = new Map();

/** The hash of the recipe, and the stages that are finished in its folder. */
async function known(recipe: Recipe, options: PlanOptions) {
  const context = await openContext(recipe, { ...options, offline: true });
  try {
    return { hash: recipeHash(context), finished: await findFinished(context, new RunFolder(options.folder)) };
  } finally {
    await context.models.encoder.close();
  }
}

/** Measured in this folder, else as the recipe states them, else those of the default models. */
async function ratesOf(
  { rates }: Recipe,
  finished: ReadonlyMap<StageName, FinishedStage>,
  folder: string,
): Promise<AlignmentPlan['rates']> {
  const records = [...finished.values()].map(({ record }) => record);
  const measured = records.find(({ stage }) => stage === 'candidates')?.result.tokensPerSecond;
  if (typeof measured === 'number' && measured > 0) {
    return { generation: measured, training: rates.training ?? STATED.training, source: `measured in ${folder}` };
  }
  if (rates.generation !== undefined || rates.training !== undefined) {
    return { ...STATED, ...dropUndefined(rates), source: 'stated by the recipe' };
  }
  return { ...STATED, source: 'stated: the default models on two cores' };
}

function dropUndefined<T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}

function promptTokens(text: string): number {
  return Math.ceil(text.length / 4) + 20;
}

type Estimate = Omit<PlannedStage, 'state'>;

function estimate(
  recipe: Recipe,
  { train, dev, test, corpus }: QueryCounts,
  rates: { generation: number; training: number },
  prompt: number,
): Estimate[] {
  const { candidates, answers, expansion, pairs, evaluation } = recipe;
  const perQuery = candidates.samples * candidates.temperatures.length;
  const written = (stage: StageName, work: string, texts: number, limit: number): Estimate => {
    const tokens = texts * limit;
    const bytes = texts * (limit * TOKEN_BYTES + RECORD_BYTES);
    return { stage, work, tokens, bytes, seconds: tokens / rates.generation };
  };
  const pairCount = Math.min(pairs.pairs, train * pairs.pairsPerQuery);
  const trained = (stage: 'sft' | 'dpo', sides: number): Estimate => {
    const { epochs, maxLength } = recipe[stage];
    const answer = Math.max(0, Math.min(candidates.maxTokens, maxLength - prompt));
    const tokens = pairCount * epochs * (prompt + sides * answer);
    const work = `${pairCount} pairs, ${epochs} epochs`;
    return { stage, work, tokens, bytes: 30e6, seconds: tokens / rates.training };
  };
  const seeds = generationSeeds(recipe).length;
  const texts = (dev + seeds * test) * expansion.samples;
  const arms = recipe.sft.enabled ? (['zeroShot', 'sft', 'aligned'] as const) : (['zeroShot', 'aligned'] as const);
  const searches = arms.length * (evaluation.alphas.length + seeds) * (1 + evaluation.judges.length);
  return [
    written('candidates', `${train} queries, ${perQuery} each`, train * perQuery, candidates.maxTokens),
    ...(answers.enabled ? [written('answers', `${train} queries`, train, answers.maxTokens)] : []),
    {
      ...{ stage: 'reward', work: `${train * perQuery} candidates`, tokens: 0 },
      ...{ bytes: train * perQuery * 700, seconds: (train * perQuery) / 300 },
    },
    { stage: 'pairs', work: `at most ${pairCount} pairs`, tokens: 0, bytes: pairCount * 1500, seconds: train / 500 },
    ...(recipe.sft.enabled ? [trained('sft', 1)] : []),
    trained('dpo', 2),
    ...arms.map((arm) =>
      written(`expand-${arm}`, `${dev} dev, ${test} test queries, ${seeds} seeds`, texts, expansion.maxTokens),
    ),
    {
      ...{ stage: 'evaluate', work: `${searches} searches of ${corpus} documents`, tokens: 0 },
      bytes: corpus * 384 * 4 + (1 + arms.length) * seeds * test * evaluation.depth * 40,
      seconds: corpus / 300 + searches * (2 + (corpus * test) / 2e8),
    },
  ];
}
