import { parseQualityMeasure } from '../measures/index.ts';
import type { ResolvedModel } from '../models/index.ts';
import { refuseServerOffline, UsageError } from '../system/index.ts';
import { checkGeneratorBase, checkGeneratorSettings, findTrl } from '../train/index.ts';
import type { Recipe } from './recipe/recipe-schema.ts';
import { isServer, openPrompt } from './run/alignment-inputs.ts';
import type { Engine } from './run/stages.ts';
import { checkedRewards } from './stages/preference-stages.ts';
import { trainingSettings } from './stages/training-stages.ts';

/** A part of a recipe that can be found wrong before anything is run. */
export interface RecipeCheck {
  /** The part: a key or a section of the recipe. */
  input: string;
  /** Says what was found. @throws LlmQeError where the run would fail */
  find(): Promise<string>;
}

export interface CheckOptions {
  engine?: Engine | undefined;
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** Runs all checks that need neither data nor models. @throws UsageError naming the key, DataError for a file that is not there */
export async function checkRecipe(recipe: Recipe, options: CheckOptions = {}): Promise<void> {
  await passChecks(settingsChecks(recipe, options));
}

/** @throws the first fault */
export async function passChecks(checks: readonly RecipeCheck[]): Promise<void> {
  for (const { input, find } of checks) {
    await find().catch((error: unknown) => {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`${input}: ${error.message}`, { fix: error.fix, cause: error });
    });
  }
}

/** What can be told from the recipe alone; files that it names are read. */
export function settingsChecks(recipe: Recipe, options: CheckOptions = {}): RecipeCheck[] {
  const { answers, prompt, evaluation } = recipe;
  const checks: (RecipeCheck | false)[] = [
    { input: 'prompt', find: () => checkPrompt(prompt) },
    answers.enabled && { input: 'answers.prompt', find: () => checkAnswerPrompt(answers.prompt) },
    { input: 'reward.weights', find: () => checkRewards(recipe) },
    ...trainingsOf(recipe).map((method) => ({
      input: method,
      find: async () => checkTraining(recipe, options, method),
    })),
    { input: 'encoder', find: async () => checkEncoder(recipe) },
    { input: 'evaluation.measure', find: async () => parseQualityMeasure(evaluation.measure).displayName },
    evaluation.judges.length > 0 && { input: 'evaluation.judges', find: async () => checkJudges(recipe) },
    { input: 'servers', find: async () => checkOffline(recipe, options) },
  ];
  return checks.filter((check) => check !== false);
}

/**
 * What only this machine can tell: whether the trainings suit the model, and whether TRL is installed.
 *
 * @param base the model where it is there
 * @param options.isElsewhere whether another machine trains
 */
export function trainingChecks(
  recipe: Recipe,
  base: ResolvedModel | undefined,
  options: CheckOptions & { isElsewhere?: boolean },
): RecipeCheck[] {
  const { engine, isElsewhere = false, signal } = options;
  const checks: (RecipeCheck | false)[] = [
    base !== undefined && { input: 'training', find: () => checkBase(recipe, options, base) },
    engine === 'trl' && !isElsewhere && { input: 'TRL', find: () => checkTrl(recipe, signal) },
  ];
  return checks.filter((check) => check !== false);
}

async function checkPrompt(named: string): Promise<string> {
  const prompt = await openPrompt(named);
  if (!prompt.needsDocument) return prompt.name;
  throw new UsageError(`${prompt.name} reads a gold document, which a query that is searched has not`, {
    fix: 'Choose q2d, q2q, q2e or q2c, or a prompt without {document}.',
  });
}

async function checkAnswerPrompt(named: string): Promise<string> {
  const prompt = await openPrompt(named);
  if (prompt.needsDocument) return prompt.name;
  throw new UsageError(`${prompt.name} does not read the document`, {
    fix: 'Choose q2a, or a prompt of your own that holds {query} and {document}.',
  });
}

async function checkRewards(recipe: Recipe): Promise<string> {
  const named = await checkedRewards(recipe);
  return named.map(({ name, weight }) => `${name}=${weight}`).join(', ');
}

function checkEncoder({ encoder }: Recipe): string {
  if (!isServer(encoder.model) || encoder.encoderModel !== undefined) return encoder.model;
  throw new UsageError('an embedding server needs the name of its model', {
    fix: 'Set encoder.encoderModel, as the server lists it under /models.',
  });
}

/** The name of a server's model is known of the main encoder alone. */
function checkJudges({ encoder, evaluation }: Recipe): string {
  const server = evaluation.judges.find((name) => isServer(name) && name !== encoder.model);
  if (server === undefined) return evaluation.judges.join(', ');
  throw new UsageError(`${server} is a server, and only the main encoder can be one`, {
    fix: 'Name bm25, or an encoder of the store, or its folder.',
  });
}

/** The trainings that a recipe wants, in their order. */
export function trainingsOf(recipe: Recipe): ('sft' | 'dpo')[] {
  return recipe.sft.enabled ? ['sft', 'dpo'] : ['dpo'];
}

function checkTraining(recipe: Recipe, options: CheckOptions, method: 'sft' | 'dpo'): string {
  const { learningRate, loraR, full } = parsedTraining(recipe, options, method);
  return `${full ? 'all weights' : `LoRA of rank ${loraR}`}, learning rate ${learningRate}`;
}

function parsedTraining(recipe: Recipe, { engine }: CheckOptions, method: 'sft' | 'dpo') {
  const trl = engine === 'trl' ? recipe.trl : undefined;
  return checkGeneratorSettings(trainingSettings(recipe, method), { trl, hasDev: recipe.pairs.dev > 0 });
}

function checkOffline({ generator, answerGenerator }: Recipe, { offline }: CheckOptions): string {
  const servers = [...generator.servers, ...(answerGenerator?.servers ?? [])];
  for (const server of servers) refuseServerOffline(server, offline);
  return servers.length === 0 ? 'none' : servers.join(', ');
}

async function checkTrl({ trl }: Recipe, signal: AbortSignal | undefined): Promise<string> {
  const { python, versions } = await findTrl({ deepspeed: trl.zero2, signal });
  return `${versions.trl} in ${python}`;
}

async function checkBase(recipe: Recipe, options: CheckOptions, base: ResolvedModel): Promise<string> {
  const trainings = trainingsOf(recipe).map((method) => parsedTraining(recipe, options, method));
  await checkGeneratorBase(base, trainings);
  return `lengths and layers suit ${base.name}`;
}
