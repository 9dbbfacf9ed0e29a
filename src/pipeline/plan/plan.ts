import {
  knownModelAt,
  type ModelKind,
  ModelNotThereError,
  ModelStore,
  type ResolvedModel,
} from '../../models/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { isAbort, LlmQeError, ModelError, type Progress, UsageError, whatForbids } from '../../system/index.ts';
import { openContext } from '../align.ts';
import { ALIGNMENT_STAGES } from '../alignment-stages.ts';
import { contentChecks, machineChecks, settingsChecks } from '../check-recipe.ts';
import { needsDev, trainsEncoder } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { recipeHash } from '../recipe-hash.ts';
import {
  type AlignmentData,
  dataFileChecks,
  type InputOptions,
  judgingEncoders,
  openData,
  openPrompt,
} from '../run/alignment-inputs.ts';
import type { Engine } from '../run/engines.ts';
import { finite, type PlannedFile, type QueryCounts, type Rates, type RecipeModels } from '../run/estimates.ts';
import { type ModelFacts, modelFacts } from '../run/model-facts.ts';
import type { RecipeCheck } from '../run/recipe-checks.ts';
import { bestStages, findRounds, finishedInAll, roundStages } from '../run/rounds.ts';
import { RunFolder } from '../run/run-folder.ts';
import type { AlignmentContext, AlignmentStage } from '../run/stage.ts';
import { diskChecks } from './disk-space.ts';
import { plannedFiles } from './planned-files.ts';
import { type PlannedRate, ratesOf, valuesOf } from './planned-rates.ts';

/** An input that the recipe names, or a part of its settings. */
export interface PlannedInput {
  input: string;
  /** `bad`: a setting that the run would refuse. */
  state: 'ready' | 'to download' | 'missing' | 'bad';
  detail: string;
}

/** The maximum cost of a stage, counting every text at its token limit. Null is unknown. */
export interface PlannedStage {
  stage: string;
  /** Undefined if there is only one round, or if the stage belongs to the best. */
  round?: number | undefined;
  state: 'finished' | 'to do';
  /** The work in words: queries or pairs, and what is made of them. */
  work: string;
  tokens: number | null;
  /** Bytes that it writes to disk. */
  bytes: number | null;
  seconds: number | null;
  /** Bytes of memory that a training of the encoder needs, apart from the program's own. */
  memory?: number | null | undefined;
}

export interface AlignmentPlan {
  recipe: string;
  /** Known when all inputs are ready, because it covers their content. */
  recipeHash: string | undefined;
  inputs: PlannedInput[];
  /** Models to download, and copies of models that are made once. */
  files: PlannedFile[];
  stages: PlannedStage[];
  /** The known cost of the unfinished stages. */
  total: {
    tokens: number;
    bytes: number;
    seconds: number;
    /** Stages and files with an unknown cost, which the total does not include. */
    unknown: string[];
  };
  rates: Record<keyof Rates, PlannedRate>;
}

export interface PlanOptions extends InputOptions {
  folder: string;
  engine: Engine;
  progress: Progress;
  /** The only stage to run here: TRL is not required if that stage does not train. */
  only?: string | undefined;
  /** Default: the stages of an alignment. */
  stages?: readonly AlignmentStage[] | undefined;
}

/** Assumed tokens of a prompt that is not known yet, and of a query. */
const [PROMPT_TOKENS, QUERY_TOKENS] = [60, 20];

/**
 * Reports the cost of a recipe, and everything that would stop the run, without running anything. Nothing is
 * downloaded. Finished stages in the folder are not counted.
 */
export async function planAlignment(recipe: Recipe, options: PlanOptions): Promise<AlignmentPlan> {
  const { engine, folder, stages: all = ALIGNMENT_STAGES } = options;
  const { inputs, counts, models, hash, rounds } = await lookAt(recipe, all, options);
  const rates = ratesOf(recipe, new Map(rounds.flatMap(({ done }) => [...done])), folder, models);
  const known = { engine, counts, rates: valuesOf(rates), ...models, prompt: await promptTokens(recipe) };
  const stages: PlannedStage[] = [];
  for (const { stage, round, isFinished } of stagesOfRounds(recipe, all, rounds)) {
    const { work, tokens, bytes, seconds, memory } = await stage.estimate(recipe, known);
    const cost = { tokens: finite(tokens), bytes: finite(bytes), seconds: finite(seconds) };
    stages.push({
      ...{ stage: stage.name, ...(round !== undefined && { round }), state: isFinished ? 'finished' : 'to do' },
      ...{ work, ...cost, ...(memory !== undefined && { memory: finite(memory) }) },
    });
  }
  const left = stages.filter(({ state }) => state === 'to do');
  const isToDo = (name: string) => left.some(({ stage }) => stage === name);
  const files = await plannedFiles(recipe, models, { stages: all, engine, isToDo });
  const total = totalOf(left, files);
  const added = totalOf([], files).bytes;
  await runChecks(inputs, diskChecks(folder, { stages: total.bytes - added, files: added }));
  return { ...{ recipe: recipe.name, recipeHash: hash, inputs, files, stages }, total, rates };
}

/** All stages of all rounds, and those of the best at the end. @param rounds those found in the folder */
function stagesOfRounds(recipe: Recipe, stages: readonly AlignmentStage[], rounds: readonly AlignmentContext[]) {
  const isOnly = recipe.rounds === 1;
  const planned = Array.from({ length: recipe.rounds }, (_none, at) => {
    const own = roundStages({ stages, recipe, before: at === 0 ? undefined : (rounds[0] ?? {}) });
    const shown = own.filter((stage) => at === 0 || stage.rounds !== 'same');
    const done = rounds[at]?.done;
    return shown.map((stage) => {
      return { stage, round: isOnly ? undefined : at + 1, isFinished: done?.has(stage.name) ?? false };
    });
  });
  const isFinished = ({ name }: AlignmentStage) => rounds.some(({ done }) => done.has(name));
  const best = bestStages({ stages, recipe }).map((stage) => {
    return { stage, round: undefined, isFinished: isFinished(stage) };
  });
  return [...planned.flat(), ...best];
}

function totalOf(stages: readonly PlannedStage[], files: readonly PlannedFile[]): AlignmentPlan['total'] {
  const sum = (values: (number | null)[]) => values.reduce<number>((total, value) => total + (value ?? 0), 0);
  const added = files.filter(({ state }) => state !== 'ready');
  const vague = stages.filter(({ tokens, bytes, seconds }) => [tokens, bytes, seconds].includes(null));
  return {
    tokens: sum(stages.map(({ tokens }) => tokens)),
    bytes: sum([...stages, ...added].map(({ bytes }) => bytes)),
    seconds: sum(stages.map(({ seconds }) => seconds)),
    unknown: [
      ...new Set(vague.map(({ stage }) => stage)),
      ...added.filter(({ bytes }) => bytes === null).map(({ file }) => file),
    ],
  };
}

/** Inspects data, models and settings, and finds the finished stages. */
async function lookAt(recipe: Recipe, stages: readonly AlignmentStage[], options: PlanOptions) {
  const inputs: PlannedInput[] = [];
  const counted = await checked(inputs, `data set (${recipe.data.kind})`, async () => {
    const opened = await openData(recipe, options);
    return { value: await countQueries(recipe, opened), detail: opened.dataset.folder };
  });
  if (counted === undefined) await runChecks(inputs, dataFileChecks(recipe), { only: 'faults' });
  const models = await lookAtModels(recipe, inputs, options);
  await runChecks(inputs, settingsChecks(recipe, stages, options));
  const isReady = inputs.every(({ state }) => state === 'ready');
  const { hash, rounds, done, checks } = isReady ? await known(recipe, stages, options) : UNKNOWN;
  await runChecks(inputs, checks);
  const facts = { ...options, base: models.generator.model };
  await runChecks(inputs, machineChecks({ recipe, stages, done }, facts));
  return { inputs, counts: counted ?? (await countQueries(recipe, undefined)), models, hash, rounds };
}

/** @param options.only with `faults`, records only new faults */
async function runChecks(
  inputs: PlannedInput[],
  checks: readonly RecipeCheck[],
  { only }: { only?: 'faults' } = {},
): Promise<void> {
  for (const { input, find } of checks) {
    const found: PlannedInput[] = [];
    await checked(found, input, async () => ({ value: undefined, detail: await find() }));
    const isNews = ({ state, detail }: PlannedInput) =>
      state !== 'ready' && !inputs.some((one) => one.detail === detail);
    inputs.push(...(only === 'faults' ? found.filter(isNews) : found));
  }
}

/** Opens an input, or records what is wrong with it. */
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

function describeFault({ message, fix }: LlmQeError): string {
  return `${message}. ${fix}`;
}

async function lookAtModels(recipe: Recipe, inputs: PlannedInput[], options: PlanOptions): Promise<RecipeModels> {
  const { generator, answerGenerator: other, encoder } = recipe;
  const factsOf = async (name: string, kind: ModelKind) =>
    modelFacts(name, isServerAddress(name) ? undefined : await checkModel(inputs, name, kind, options));
  const judges: ModelFacts[] = [];
  const writer = await factsOf(generator.model, 'generator');
  const isServed = other?.model === undefined || other.servers.length > 0;
  const answerer = isServed ? undefined : await factsOf(other.model!, 'generator');
  const main = await factsOf(encoder.model, 'encoder');
  for (const name of judgingEncoders(recipe)) judges.push(await factsOf(name, 'encoder'));
  return { generator: writer, answerGenerator: answerer, encoder: main, judges };
}

function describeFetching(name: string): string {
  const isGated = knownModelAt(name)?.sources.some((source) => source.kind === 'hub' && source.gated);
  return `is not in the store; the run downloads it${isGated ? ' after its owner has granted access' : ''}`;
}

/**
 * Checks a model without downloading. A model that the store lacks but can download is `to download`; any other fault
 * is `missing`.
 */
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
    const isFetched = error instanceof ModelNotThereError && whatForbids('downloads', options.offline) === undefined;
    const detail = isFetched ? describeFetching(name) : describeFault(error);
    inputs.push({ input, state: isFetched ? 'to download' : 'missing', detail });
    return undefined;
  }
}

/** Counts the queries if the data exists; otherwise returns the numbers in the recipe, which may be unknown. */
async function countQueries(recipe: Recipe, data: AlignmentData | undefined): Promise<QueryCounts> {
  const { candidates, evaluation, data: source } = recipe;
  const unknown = Number.POSITIVE_INFINITY;
  const stated = source.kind === 'wordnet' ? source : { train: unknown, dev: unknown, test: unknown, corpus: unknown };
  const rows = await countRows(recipe, data, stated.train);
  const most = async (split: 'dev' | 'test') =>
    data === undefined ? stated[split] : (await data.judged.dataset.qrels(data.judged.splits[split])).size;
  let train = 0;
  if (data !== undefined) for await (const _query of (await data.training(false))()) train++;
  return {
    train: data === undefined ? Math.min(stated.train, candidates.queries ?? unknown) : train,
    dev: !needsDev(recipe) ? 0 : Math.min(await most('dev'), evaluation.dev ?? unknown),
    test: Math.min(await most('test'), evaluation.test ?? unknown),
    corpus: data === undefined ? stated.corpus : await data.judged.dataset.count(),
    ...rows,
  };
}

/** Counts the rows of the retriever, and the tokens of their documents, at four characters per token. */
async function countRows(
  recipe: Recipe,
  data: AlignmentData | undefined,
  stated: number,
): Promise<Pick<QueryCounts, 'rows' | 'documentTokens'>> {
  const unknown = Number.POSITIVE_INFINITY;
  if (!trainsEncoder(recipe)) return { rows: 0, documentTokens: 0 };
  if (data === undefined) {
    const { rows: file, queries = unknown } = recipe.retriever;
    return { rows: Math.min(file === undefined ? stated : unknown, queries), documentTokens: unknown };
  }
  let [rows, characters] = [0, 0];
  for await (const { positives } of (await data.retrieverRows()).rows()) {
    rows++;
    characters += positives[0]!.text.length;
  }
  return { rows, documentTokens: Math.ceil(characters / rows / 4) };
}

const UNKNOWN = {
  ...{ hash: undefined, rounds: [] as AlignmentContext[], done: new Map() as AlignmentContext['done'] },
  checks: [] as RecipeCheck[],
};

/** The hash of the recipe, and the finished stages of its rounds in its folder. */
async function known(recipe: Recipe, stages: readonly AlignmentStage[], options: PlanOptions) {
  const context = await openContext(recipe, { ...options, stages, offline: true });
  try {
    const rounds = await findRounds(context, new RunFolder(options.folder));
    const done = finishedInAll(rounds, context);
    return { hash: recipeHash(context), rounds, done, checks: contentChecks({ ...context, done }, options) };
  } finally {
    await context.models.encoders.close();
  }
}

/** Tokens of the prompt including a query, at four characters per token. */
function promptTokens({ prompt }: Recipe): Promise<number> {
  return openPrompt(prompt).then(
    ({ text }) => Math.ceil(text.length / 4) + QUERY_TOKENS,
    () => PROMPT_TOKENS,
  );
}
