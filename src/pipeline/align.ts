import { join } from 'node:path';
import type { EvaluationData } from '../evaluate/index.ts';
import { makeFolder, type Progress, SILENT, UsageError, withFileLock } from '../system/index.ts';
import { stagesOf } from './alignment-stages.ts';
import { checkRecipe, passChecks, trainingChecks, trainingsOf } from './check-recipe.ts';
import { writeManifest } from './manifest.ts';
import type { Recipe } from './recipe/recipe-schema.ts';
import { type InputOptions, openData, openModels, openPrompt } from './run/alignment-inputs.ts';
import { type FinishedStage, RunFolder } from './run/run-folder.ts';
import type { AlignmentContext, Engine, StageName } from './run/stages.ts';
import { checkedRewards } from './stages/preference-stages.ts';
import { readEvaluation, writeAlignmentReport } from './write-report.ts';

export interface AlignOptions extends InputOptions {
  /** Folder of the run. */
  folder: string;
  engine?: Engine | undefined;
  /** Do this stage alone; those before it must be finished. */
  only?: StageName | undefined;
  warn?: ((line: string) => void) | undefined;
  /** Told of each stage as it is finished or found finished. */
  onStage?: ((name: StageName, stage: FinishedStage) => void) | undefined;
}

export interface AlignResult {
  folder: string;
  /** Undefined where the run ended before its evaluation, in a folder that holds an earlier one. */
  manifestFile: string | undefined;
  /** Undefined where the run ended before it. */
  evaluation: EvaluationData | undefined;
  reportFile: string | undefined;
  stages: ReadonlyMap<StageName, FinishedStage>;
}

/**
 * Aligns a generator to a retriever and shows whether it helped (Yao et al., arXiv 2502.17057): candidates, answers, rewards,
 * pairs, training, expansions of all arms, evaluation, report. Each stage keeps what it made under a key of its settings and
 * inputs ({@link RunFolder}): the same call goes on where it was cut off, and repeats nothing that is finished.
 *
 * @throws UsageError, DataError, ModelError, NetworkError, ResourceError; AbortedError behind the signal
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
  await checkRecipe(recipe, options);
  const context = await openContext(recipe, options);
  try {
    await checkTrainings(context, runFolder, options.only);
    await runStages(context, runFolder, options);
  } finally {
    await context.models.encoder.close();
  }
  const { done } = context;
  const isEvaluated = done.has('evaluate');
  const evaluation = isEvaluated ? await readEvaluation(context) : undefined;
  const reportFile = evaluation === undefined ? undefined : await writeAlignmentReport(context, evaluation, runFolder);
  const manifestFile = await writeManifest(context, runFolder);
  return { folder: options.folder, manifestFile, evaluation, reportFile, stages: done };
}

/** Opens data and models; nothing is loaded before it is needed. */
export async function openContext(
  recipe: Recipe,
  { threads, offline, signal, progress = SILENT, engine = 'local', warn = () => {} }: Omit<AlignOptions, 'folder'>,
): Promise<AlignmentContext> {
  const inputs = { threads, offline, signal, progress };
  const prompt = await openPrompt(recipe.prompt);
  const answerPrompt = await openPrompt(recipe.answers.prompt);
  const rewards = await checkedRewards(recipe);
  const data = await openData(recipe, inputs);
  const models = await openModels(recipe, inputs);
  const opened = { recipe, data, models, prompt, answerPrompt, rewards };
  return { ...opened, options: { ...inputs, engine, warn }, done: new Map() };
}

/** Stages that are finished: the key of one is known as soon as those before it are done. */
export async function findFinished(context: AlignmentContext, runFolder: RunFolder): Promise<AlignmentContext['done']> {
  const done: AlignmentContext['done'] = new Map();
  for (const stage of stagesOf(context.recipe)) {
    const record = await runFolder.find(stage.name, stage.settings({ ...context, done }));
    if (record === undefined) break;
    done.set(stage.name, { record, folder: runFolder.folderOf(stage.name, record.key), reused: true, changes: [] });
  }
  return done;
}

/** What would stop a training that is still to do is found before the stages that come before it. */
async function checkTrainings(context: AlignmentContext, runFolder: RunFolder, only: StageName | undefined) {
  const { recipe, models, options } = context;
  const finished = await findFinished(context, runFolder);
  const left = trainingsOf(recipe).filter((name) => !finished.has(name));
  if (left.length === 0) return;
  const isElsewhere = only !== undefined && !(left as StageName[]).includes(only);
  const { engine, signal } = options;
  await passChecks(trainingChecks(recipe, models.generator, { engine, signal, isElsewhere }));
}

async function runStages(context: AlignmentContext, runFolder: RunFolder, { only, onStage }: AlignOptions) {
  for (const stage of stagesOf(context.recipe)) {
    const settings = stage.settings(context);
    if (only !== undefined && stage.name !== only && (await runFolder.find(stage.name, settings)) === undefined) {
      throw new UsageError(`stage ${only} needs stage ${stage.name}, which is not finished`, {
        fix: `Run it first (--only ${stage.name}), or all of them (without --only).`,
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
  throw new UsageError(`the recipe has no stage ${only}`, { fix: 'Enable it in the recipe.' });
}
