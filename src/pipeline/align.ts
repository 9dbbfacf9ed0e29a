import { join } from 'node:path';
import type { EvaluationData } from '../evaluate/index.ts';
import {
  makeFolder,
  type Progress,
  SILENT,
  throwIfAborted,
  UsageError,
  whatForbids,
  withFileLock,
} from '../system/index.ts';
import { ALIGNMENT_STAGES } from './alignment-stages.ts';
import { checkRecipe, contentChecks, machineChecks } from './check-recipe.ts';
import { writeManifest } from './manifest.ts';
import type { Recipe } from './recipe/recipe-schema.ts';
import { type InputOptions, openData, openModels, openPrompt } from './run/alignment-inputs.ts';
import type { Engine } from './run/engines.ts';
import { passAllChecks, passChecks } from './run/recipe-checks.ts';
import type { RoundResult } from './run/round-result.ts';
import {
  bestOf,
  bestStages,
  findRounds,
  finishedInAll,
  finishedRound,
  type Round,
  roundAfter,
  roundStages,
} from './run/rounds.ts';
import { type FinishedStage, RunFolder } from './run/run-folder.ts';
import { type AlignmentContext, type AlignmentStage, keyedSettings, roundOf } from './run/stage.ts';
import { codeIn, namedRewards } from './stages/reward-stage.ts';
import { readEvaluation, writeAlignmentReport } from './write-report.ts';

export interface AlignOptions extends InputOptions {
  /** Folder of the run. */
  folder: string;
  engine?: Engine | undefined;
  /** Run only this stage; those before it must be finished. */
  only?: string | undefined;
  /** Default: the stages of an alignment. */
  stages?: readonly AlignmentStage[] | undefined;
  /** Whether modules named in the recipe (custom rewards) may run. Default false: such a recipe is refused. */
  allowCode?: boolean | undefined;
  /**
   * Before the first stage, load every model and contact every server that a stage needs, and report all faults at
   * once.
   */
  checkAll?: boolean | undefined;
  warn?: ((line: string) => void) | undefined;
  /** Receives each stage when it finishes or is found finished. `round` is undefined if there is only one. */
  onStage?: ((name: string, stage: FinishedStage, round: number | undefined) => void) | undefined;
}

export interface AlignResult {
  folder: string;
  /** Undefined if the run ended before its evaluation in a folder with an earlier evaluation. */
  manifestFile: string | undefined;
  /** Undefined if the run ended before the evaluation. */
  evaluation: EvaluationData | undefined;
  reportFile: string | undefined;
  /** The stages of the best round. */
  stages: ReadonlyMap<string, FinishedStage>;
  /** The measures of each round on the dev queries; empty if there is only one round. */
  rounds: ({ round: number } & RoundResult)[];
  /** The number of the best round. */
  best: number;
}

/**
 * Aligns a generator to a retriever and shows whether it helped (Yao et al., arXiv 2502.17057): candidates, answers,
 * rewards, pairs, training, expansions of all arms, evaluation, report. Each stage stores its outputs under a key of
 * its settings and inputs ({@link RunFolder}). The same call resumes an interrupted run and repeats no finished stage.
 *
 * @throws UsageError, DataError, ModelError, NetworkError, ResourceError; AbortedError after the signal
 */
export async function align(recipe: Recipe, options: AlignOptions): Promise<AlignResult> {
  const { folder, signal, progress = SILENT } = options;
  await makeFolder(folder);
  return withFileLock(join(folder, '.lock'), () => run(recipe, { ...options, progress }), {
    ...{ signal, progress, what: 'works in the same folder' },
  });
}

async function run(recipe: Recipe, options: AlignOptions & { progress: Progress }): Promise<AlignResult> {
  const runFolder = new RunFolder(options.folder);
  refuseCode(recipe, options);
  await checkRecipe(recipe, options.stages ?? ALIGNMENT_STAGES, { ...options, loadsCode: true });
  const first = await openContext(recipe, options);
  try {
    await checkRest(first, runFolder, options);
    const rounds = await runRounds(first, runFolder, options);
    return await conclude(rounds, runFolder);
  } finally {
    await first.models.encoders.close();
  }
}

/** Writes report and manifest of the best round. */
async function conclude(rounds: readonly Round[], runFolder: RunFolder): Promise<AlignResult> {
  const { context, round } = bestOf(rounds);
  const path = rounds.length > 1 ? rounds : [];
  const evaluation = context.done.has('evaluate') ? await readEvaluation(context) : undefined;
  const reportFile =
    evaluation === undefined ? undefined : await writeAlignmentReport(context, evaluation, runFolder, path);
  const manifestFile = await writeManifest(context, runFolder, path);
  const results = path.flatMap(({ round: number, result }) => (result ? [{ round: number, ...result }] : []));
  const { done: stages } = context;
  return { folder: runFolder.path, manifestFile, evaluation, reportFile, stages, rounds: results, best: round };
}

/** Recipes may come from strangers, and modules in them run with all rights of this process. @throws UsageError */
function refuseCode(recipe: Recipe, { allowCode = false }: AlignOptions): void {
  const modules = codeIn(recipe);
  if (modules.length === 0 || allowCode) return;
  throw new UsageError(`the recipe runs code: ${modules.join(', ')}`, {
    fix: 'Read the code, and pass --allow-code if you trust it.',
  });
}

/**
 * Opens data, resolves models and inspects rewards. Nothing is loaded before it is needed, and no custom code is run.
 */
export async function openContext(
  recipe: Recipe,
  {
    threads,
    offline,
    signal,
    progress = SILENT,
    engine = 'local',
    warn = () => {},
    stages = ALIGNMENT_STAGES,
  }: Omit<AlignOptions, 'folder'>,
): Promise<AlignmentContext> {
  const inputs = { threads, offline, signal, progress };
  const prompt = await openPrompt(recipe.prompt);
  const answerPrompt = await openPrompt(recipe.answers.prompt);
  const rewards = await namedRewards(recipe, { loadsCode: false });
  // Without connections, a missing model must end the command before a data set is built for minutes.
  const present = whatForbids('downloads', offline) === undefined ? undefined : await openModels(recipe, inputs);
  const data = await openData(recipe, inputs);
  const models = present ?? (await openModels(recipe, inputs));
  const opened = { recipe, data, models, prompt, answerPrompt, rewards };
  return { ...opened, options: { ...inputs, engine, warn }, stages, done: new Map() };
}

/** Finds what would stop an unfinished stage before any earlier stage runs. */
async function checkRest(context: AlignmentContext, runFolder: RunFolder, { only, checkAll }: AlignOptions) {
  const done = finishedInAll(await findRounds(context, runFolder), context);
  const { engine, signal } = context.options;
  const unfinished = { ...context, done };
  const machine = machineChecks(unfinished, { base: context.models.generator, engine, signal, only });
  const content = contentChecks(unfinished, { only, loadsModels: checkAll });
  if (checkAll) await passAllChecks([...machine, ...content]);
  else await passChecks([...machine, ...content]);
}

/** Runs the rounds one after the other, and then what only the best of them has. */
async function runRounds(first: AlignmentContext, runFolder: RunFolder, options: AlignOptions): Promise<Round[]> {
  const { recipe } = first;
  const { only } = options;
  const ofBest = bestStages(first).some(({ name }) => name === only);
  const rounds: Round[] = [];
  for (let context = first; rounds.length < recipe.rounds; context = roundAfter(context)) {
    const isLast = rounds.length === recipe.rounds - 1;
    // A single stage is that of the last round, for which the rounds before must be finished.
    await runStages(context, roundStages(context), runFolder, { ...options, mayRun: isLast && !ofBest });
    rounds.push(finishedRound(context));
  }
  if (only === undefined || ofBest) {
    const best = bestOf(rounds).context;
    await runStages(best, bestStages(best), runFolder, { ...options, mayRun: true });
  }
  if (only === undefined || rounds.some(({ context }) => context.done.has(only))) return rounds;
  throw new UsageError(`the recipe has no stage ${only}`, { fix: 'Enable the stage in the recipe.' });
}

/** @param options.mayRun whether the only stage, if there is one, may run here; otherwise all stages must be finished */
async function runStages(
  context: AlignmentContext,
  stages: readonly AlignmentStage[],
  runFolder: RunFolder,
  { only, onStage, mayRun }: AlignOptions & { mayRun: boolean },
) {
  const round = context.recipe.rounds > 1 ? roundOf(context) : undefined;
  for (const stage of stages) {
    throwIfAborted(context.options.signal);
    const settings = keyedSettings(stage, context);
    const isOnly = stage.name === only && mayRun;
    if (only !== undefined && !isOnly && (await runFolder.find(stage.name, settings)) === undefined) {
      throw neededFirst(only, stage.name, round);
    }
    const apartFrom = new Set(stageFolders(context.before, stage.name));
    const work = { stage: stage.name, settings, apartFrom, run: (folder: string) => stage.run(context, folder) };
    const finished = await runFolder.stage(work);
    context.done.set(stage.name, finished);
    onStage?.(stage.name, finished, round);
    await writeManifest(context, runFolder);
    if (isOnly) return;
  }
}

/** The folders of a stage in this round and those before. */
function stageFolders(context: AlignmentContext | undefined, stage: string): string[] {
  if (context === undefined) return [];
  const own = context.done.get(stage);
  return [...stageFolders(context.before, stage), ...(own === undefined ? [] : [own.folder])];
}

function neededFirst(only: string, missing: string, round: number | undefined): UsageError {
  const where = round === undefined ? '' : ` of round ${round}`;
  return new UsageError(`stage ${only} needs stage ${missing}${where}, which is not finished`, {
    fix: `Run it first (--only ${missing}${round === undefined ? '' : ` --rounds ${round}`}), or run all stages (without --only).`,
  });
}
