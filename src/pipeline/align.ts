import { join } from 'node:path';
import type { EvaluationData } from '../evaluate/index.ts';
import { makeFolder, type Progress, SILENT, UsageError, whatForbids, withFileLock } from '../system/index.ts';
import { ALIGNMENT_STAGES } from './alignment-stages.ts';
import { checkRecipe, contentChecks, machineChecks } from './check-recipe.ts';
import { writeManifest } from './manifest.ts';
import type { Recipe } from './recipe/recipe-schema.ts';
import { type InputOptions, openData, openModels, openPrompt } from './run/alignment-inputs.ts';
import type { Engine } from './run/engines.ts';
import { passAllChecks, passChecks } from './run/recipe-checks.ts';
import { type FinishedStage, RunFolder } from './run/run-folder.ts';
import { type AlignmentContext, type AlignmentStage, keyedSettings, stagesOf } from './run/stage.ts';
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
  /** Receives each stage when it finishes or is found finished. */
  onStage?: ((name: string, stage: FinishedStage) => void) | undefined;
}

export interface AlignResult {
  folder: string;
  /** Undefined if the run ended before its evaluation in a folder with an earlier evaluation. */
  manifestFile: string | undefined;
  /** Undefined if the run ended before the evaluation. */
  evaluation: EvaluationData | undefined;
  reportFile: string | undefined;
  stages: ReadonlyMap<string, FinishedStage>;
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
  const context = await openContext(recipe, options);
  try {
    await checkRest(context, runFolder, options);
    await runStages(context, runFolder, options);
  } finally {
    await context.models.encoders.close();
  }
  const { done } = context;
  const isEvaluated = done.has('evaluate');
  const evaluation = isEvaluated ? await readEvaluation(context) : undefined;
  const reportFile = evaluation === undefined ? undefined : await writeAlignmentReport(context, evaluation, runFolder);
  const manifestFile = await writeManifest(context, runFolder);
  return { folder: options.folder, manifestFile, evaluation, reportFile, stages: done };
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

/** Finds the finished stages. The key of a stage is known when all stages before it are finished. */
export async function findFinished(context: AlignmentContext, runFolder: RunFolder): Promise<AlignmentContext['done']> {
  const done: AlignmentContext['done'] = new Map();
  for (const stage of stagesOf(context)) {
    const record = await runFolder.find(stage.name, keyedSettings(stage, { ...context, done }));
    if (record === undefined) break;
    done.set(stage.name, { record, folder: runFolder.folderOf(stage.name, record.key), reused: true, changes: [] });
  }
  return done;
}

/** Finds what would stop an unfinished stage before any earlier stage runs. */
async function checkRest(context: AlignmentContext, runFolder: RunFolder, { only, checkAll }: AlignOptions) {
  const done = await findFinished(context, runFolder);
  const { engine, signal } = context.options;
  const unfinished = { ...context, done };
  const machine = machineChecks(unfinished, { base: context.models.generator, engine, signal, only });
  const content = contentChecks(unfinished, { only, loadsModels: checkAll });
  if (checkAll) await passAllChecks([...machine, ...content]);
  else await passChecks([...machine, ...content]);
}

async function runStages(context: AlignmentContext, runFolder: RunFolder, { only, onStage }: AlignOptions) {
  for (const stage of stagesOf(context)) {
    const settings = keyedSettings(stage, context);
    if (only !== undefined && stage.name !== only && (await runFolder.find(stage.name, settings)) === undefined) {
      throw new UsageError(`stage ${only} needs stage ${stage.name}, which is not finished`, {
        fix: `Run it first (--only ${stage.name}), or run all stages (without --only).`,
      });
    }
    const work = { stage: stage.name, settings, run: (folder: string) => stage.run(context, folder) };
    const finished = await runFolder.stage(work);
    context.done.set(stage.name, finished);
    onStage?.(stage.name, finished);
    await writeManifest(context, runFolder);
    if (stage.name === only) return;
  }
  if (only === undefined || context.done.has(only)) return;
  throw new UsageError(`the recipe has no stage ${only}`, { fix: 'Enable the stage in the recipe.' });
}
