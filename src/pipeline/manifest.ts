import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { isThere, packageCommit, packageVersion, writeDurably } from '../system/index.ts';
import { recipeHash } from './recipe-hash.ts';
import { untrainedEncoderOf } from './run/encoders.ts';
import type { Round } from './run/rounds.ts';
import type { RunFolder } from './run/run-folder.ts';
import { type AlignmentContext, roundOf } from './run/stage.ts';
import { generationSeeds } from './stages/expansion-stages.ts';

/** How reruns may differ. */
const REPRODUCIBLE =
  'Given the same sampled texts, rewards, pairs, training and evaluation are reproduced to the last bit. The texts themselves (candidates, answers, expansions) are not reproduced if the LLM runs on more than one thread or on a server: seeds are fixed, but rounding is not.';

const REPORT = 'report.html';

/**
 * Writes `manifest.json`: recipe, versions, seeds, hashes of models, data and prompts, host, and the outputs and time
 * of each stage. It must match the report: a run without an evaluation, or before it, leaves the manifest and report of
 * an earlier run unchanged.
 *
 * @returns its path; undefined if that of an earlier run was kept
 */
export async function writeManifest(
  context: AlignmentContext,
  run: RunFolder,
  rounds: readonly Round[] = [],
): Promise<string | undefined> {
  if (!context.done.has('evaluate') && (await isThere(join(run.path, REPORT)))) return undefined;
  return writeForRun(context, run, 'manifest.json', `${JSON.stringify(describeRun(context, run, rounds), null, 1)}\n`);
}

/** Writes `report.html`. @returns its path */
export function writeReportPage(context: AlignmentContext, run: RunFolder, page: string): Promise<string> {
  return writeForRun(context, run, REPORT, page);
}

/**
 * Writes a file into the folder of the run, where the next run replaces it, and into the folder of its evaluation,
 * where it stays.
 * @returns its path in the folder of the run
 */
async function writeForRun({ done }: AlignmentContext, run: RunFolder, name: string, text: string): Promise<string> {
  const evaluated = done.get('evaluate');
  if (evaluated !== undefined) {
    const kept = join(evaluated.folder, name);
    if (!evaluated.reused || !(await isThere(kept))) await writeDurably(kept, text);
  }
  const file = join(run.path, name);
  await writeDurably(file, text);
  return file;
}

/** The manifest as plain data. @param rounds all rounds, if there are several; the context is that of the best */
export function describeRun(context: AlignmentContext, run: RunFolder, rounds: readonly Round[] = []) {
  const { recipe, data, models, prompt, answerPrompt, options, done } = context;
  const { name, fingerprint, source } = models.generator;
  return {
    command: 'align',
    version: packageVersion(),
    commit: packageCommit(),
    recipe,
    recipeHash: recipeHash(context),
    engine: options.engine,
    seeds: { recipe: recipe.seed, generation: generationSeeds(recipe) },
    data: {
      trained: { name: data.dataset.name, hashes: data.hashes },
      judged: { name: data.judged.name, splits: data.judged.splits, hashes: data.judged.hashes },
    },
    models: {
      generator: { name, fingerprint, source },
      answerGenerator: models.answerGenerator && {
        name: models.answerGenerator.name,
        fingerprint: models.answerGenerator.fingerprint,
      },
      encoder: encoderFacts(context),
    },
    prompts: { expansion: prompt.text, answer: answerPrompt.text },
    host: hostFacts(options.threads),
    reproducibility: REPRODUCIBLE,
    ...(rounds.length > 0 && { round: roundOf(context), rounds: rounds.map((one) => describeRound(one, run)) }),
    stages: [...done].map(([stage, { record, folder }]) => ({
      stage,
      ...{ folder: run.relative(folder), key: record.key, version: record.version, seconds: record.seconds },
      ...{ outputs: record.outputs, result: record.result },
    })),
    seconds: [...done.values()].reduce((sum, { record }) => sum + record.seconds, 0),
  };
}

/** What a round measured on dev, and the folders of its stages. */
function describeRound({ round, context, result }: Round, run: RunFolder) {
  const folders = [...context.done].map(([stage, { folder }]) => [stage, run.relative(folder)]);
  return { round, dev: result, stages: Object.fromEntries(folders) as Record<string, string> };
}

/** The encoder as the evaluation used it; before the evaluation, what is known without opening it. */
function encoderFacts(context: AlignmentContext): Record<string, unknown> {
  const { name, key } = untrainedEncoderOf(context);
  const used = context.done.get('evaluate')?.record.result.encoder as Record<string, unknown> | undefined;
  return { name, ...(used ?? key) };
}

function hostFacts(threads: number | undefined) {
  return {
    node: process.version,
    platform: process.platform,
    arch: process.arch,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    threads: threads ?? availableParallelism(),
    memory: totalmem(),
  };
}
