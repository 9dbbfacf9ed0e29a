import { readdir } from 'node:fs/promises';
import { ModelStore } from '../models/index.ts';
import { isAbort, LlmQeError, type Progress } from '../system/index.ts';
import { ALIGNMENT_STAGES } from './align.ts';
import {
  type AlignmentData,
  type InputOptions,
  judgingEncoders,
  openData,
  openModels,
  openPrompt,
} from './alignment-inputs.ts';
import { generationSeeds } from './expansion-stages.ts';
import { checkedRewards } from './preference-stages.ts';
import { isTuned, recipeHash } from './recipe.ts';
import type { Recipe } from './recipe-schema.ts';
import { type FinishedStage, RunFolder } from './run-folder.ts';
import type { AlignmentContext, Engine, StageName } from './stages.ts';

/** One input that a recipe names. */
export interface PlannedInput {
  input: string;
  state: 'ready' | 'to fetch' | 'missing';
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
  recipeHash: string;
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

/** Says what a recipe would take, before anything is run. Nothing is fetched; what stands in the folder already is not counted. */
export async function planAlignment(recipe: Recipe, options: PlanOptions): Promise<AlignmentPlan> {
  const inputs: PlannedInput[] = [];
  const data = await checked(inputs, `data set (${recipe.data.kind})`, async () => {
    const opened = await openData(recipe, options);
    return { value: opened, detail: opened.dataset.folder };
  });
  for (const { name, kind } of modelsOf(recipe)) await checkModel(inputs, name, kind, options);
  const prompt = await checked(inputs, 'prompt', async () => {
    const opened = await openPrompt(recipe.prompt);
    return { value: opened, detail: opened.name };
  });
  await checked(inputs, 'rewards', async () => {
    const named = await checkedRewards(recipe);
    return { value: named, detail: named.map(({ name, weight }) => `${name}=${weight}`).join(', ') };
  });
  const counts = await countQueries(recipe, data);
  const run = new RunFolder(options.folder);
  const isReady = inputs.every(({ state }) => state === 'ready');
  const finished = isReady ? await findFinished(recipe, data!, run, options) : new Map<StageName, FinishedStage>();
  const rates = await ratesOf(recipe, finished, options.folder);
  const stages = estimate(recipe, counts, rates, prompt === undefined ? PROMPT_TOKENS : promptTokens(prompt.text)).map(
    (stage) => ({ ...stage, state: finished.has(stage.stage) ? ('finished' as const) : ('to do' as const) }),
  );
  const left = stages.filter(({ state }) => state === 'to do');
  const sum = (pick: (stage: PlannedStage) => number) => left.reduce((total, stage) => total + pick(stage), 0);
  return {
    ...{ recipe: recipe.name, recipeHash: recipeHash(recipe), inputs, stages, rates },
    total: {
      tokens: sum(({ tokens }) => tokens),
      bytes: sum(({ bytes }) => bytes),
      seconds: sum((one) => one.seconds),
    },
  };
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
    inputs.push({ input, state: 'missing', detail: `${error.message}. ${error.mend}` });
    return undefined;
  }
}

function modelsOf(recipe: Recipe) {
  const { generator, answerGenerator, encoder } = recipe;
  return [
    { name: generator.model, kind: 'generator' as const },
    ...(answerGenerator?.servers.length === 0 ? [{ name: answerGenerator.model, kind: 'generator' as const }] : []),
    ...[encoder.model, ...judgingEncoders(recipe)].map((name) => ({ name, kind: 'encoder' as const })),
  ].filter(({ name }) => !/^https?:/.test(name));
}

/** Looks without fetching: what the store lacks is to be fetched, a path that is not there is missing. */
async function checkModel(inputs: PlannedInput[], name: string, kind: 'generator' | 'encoder', options: PlanOptions) {
  const store = new ModelStore({ offline: true, progress: options.progress });
  try {
    const { path } = await store.resolve(name, { kind, signal: options.signal });
    inputs.push({ input: `${kind} ${name}`, state: 'ready', detail: path });
  } catch (error) {
    if (isAbort(error) || !(error instanceof LlmQeError)) throw error;
    const isPath = /^[./~]|\.gguf$/.test(name);
    const state = isPath || options.offline ? 'missing' : 'to fetch';
    inputs.push({ input: `${kind} ${name}`, state, detail: error.message });
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

/** Stages that are finished: a stage's key is known as soon as those before it are done. */
async function findFinished(recipe: Recipe, data: AlignmentData, run: RunFolder, options: PlanOptions) {
  const done = new Map<StageName, FinishedStage>();
  if ((await readdir(run.path).catch(() => [])).length === 0) return done;
  const models = await openModels(recipe, { ...options, offline: true });
  try {
    const [prompt, answerPrompt] = [await openPrompt(recipe.prompt), await openPrompt(recipe.answers.prompt)];
    const rewards = await checkedRewards(recipe);
    const context: AlignmentContext = {
      ...{ recipe, data, models, prompt, answerPrompt, rewards, done },
      options: { ...options, warn: () => {} },
    };
    for (const stage of ALIGNMENT_STAGES.filter(({ wanted }) => wanted(recipe))) {
      const found = await run.find(stage.name, stage.settings(context));
      if (found === undefined) break;
      done.set(stage.name, { record: found, folder: run.folderOf(stage.name, found.key), reused: true, changes: [] });
    }
  } finally {
    await models.encoder.close();
  }
  return done;
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
