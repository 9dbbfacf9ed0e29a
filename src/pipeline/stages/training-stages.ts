import { join } from 'node:path';
import { type PairReading, readPairs } from '../../data/index.ts';
import { exportGguf } from '../../models/index.ts';
import { countsOf, type LeftOut, leftOutOf, sumOf } from '../../report/index.ts';
import {
  describeSkipped,
  type GeneratorTrainingInput,
  type PairCounts,
  type TrainGeneratorOptions,
  trainGenerator,
  trainGeneratorWithTrl,
} from '../../train/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { StageWarnings } from '../run/stage-warnings.ts';
import { type AlignmentContext, type AlignmentStage, hashOf, outputOf, type StageName } from '../run/stages.ts';

/** The training of one arm: DPO, or SFT on what was chosen. */
function trainingStage(name: 'sft' | 'dpo', wanted: AlignmentStage['wanted']): AlignmentStage {
  return {
    name,
    wanted,
    settings(context) {
      const { models, options } = context;
      return {
        ...decisiveSettings(trainingSettings(context.recipe, name)),
        base: models.generator.fingerprint,
        pairs: hashOf(context, 'pairs', 'pairs'),
        dev: hashOf(context, 'pairs', 'dev'),
        engine: options.engine,
        trl: options.engine === 'trl' ? context.recipe.trl : undefined,
      };
    },
    run: (context, folder) => trainArm(context, name, folder),
  };
}

export const sftStage = trainingStage('sft', ({ sft }) => sft.enabled);
export const dpoStage = trainingStage('dpo', () => true);

async function trainArm(context: AlignmentContext, name: 'sft' | 'dpo', folder: string) {
  const { recipe, models, options } = context;
  const warnings = await StageWarnings.open(folder);
  const warn = (line: string) => {
    warnings.add(line);
    options.warn(`${name}: ${line}`);
  };
  const pairs = await readKnownPairs(outputOf(context, 'pairs', 'pairs')!, warn, context);
  const devFile = outputOf(context, 'pairs', 'dev');
  const dev = devFile === undefined ? undefined : await readKnownPairs(devFile, warn, context);
  const given: GivenTraining = {
    base: models.generator,
    pairs: pairs.pairs,
    devPairs: dev?.pairs ?? [],
    out: folder,
    settings: trainingSettings(recipe, name),
    warn,
    signal: options.signal,
    progress: options.progress,
  };
  const { outputs, result } = await (options.engine === 'trl' ? trainWithOthers : trainHere)(given, context);
  const leftOut = [
    ...untrained('training pairs', pairs, result.pairs.train),
    ...(dev === undefined ? [] : untrained('development pairs', dev, result.pairs.dev)),
  ];
  return { outputs, result: { ...result, leftOut, warnings: warnings.lines } };
}

type GivenTraining = Omit<TrainGeneratorOptions, 'threads' | 'cache'>;

async function trainHere(given: GivenTraining, context: AlignmentContext) {
  const result = await trainGenerator({ ...given, threads: context.options.threads });
  const { path, kind, step, training, train, dev, mode, seconds } = result;
  const weights = kind === 'adapter' ? adapterFiles(path) : await runtimeFile(path, given.out, context);
  return {
    outputs: { ...weights, metrics: result.metricsFile },
    result: {
      ...{ kind, step, steps: training.steps, stopped: training.stopped, mode, trainingSeconds: seconds },
      best: training.best && { step: training.best.step, metric: training.best.metric, value: training.best.value },
      pairs: { train, dev },
    },
  };
}

/** By TRL: the same data, settings and layout of the adapter; on several machines, their commands are told. */
async function trainWithOthers(given: GivenTraining, { recipe, options }: AlignmentContext) {
  const result = await trainGeneratorWithTrl({
    ...given,
    engine: recipe.trl,
    onCommands: (commands) => options.warn(`start on the other machines, in ${given.out}:\n${commands.join('\n')}`),
  });
  const { steps, best, train, dev, seconds } = result;
  return {
    outputs: { ...adapterFiles(result.adapter), metrics: result.metricsFile },
    result: { kind: 'adapter', steps, best, pairs: { train, dev }, trainingSeconds: seconds },
  };
}

function adapterFiles(folder: string): Record<string, string> {
  return { adapter: join(folder, 'adapter_model.safetensors'), adapterConfig: join(folder, 'adapter_config.json') };
}

/** Where all weights were trained: the model as the embedded runtime reads it. */
async function runtimeFile(
  model: string,
  folder: string,
  { options }: AlignmentContext,
): Promise<Record<string, string>> {
  const file = join(folder, 'model.gguf');
  await exportGguf(file, { base: model, signal: options.signal, progress: options.progress });
  return { model: file };
}

/** What the file held and taught nothing, and what its tokens do not let be learnt. */
function untrained(
  what: string,
  { pairs, skipped: read }: PairReading,
  { pairs: kept, skipped, cut }: PairCounts,
): LeftOut[] {
  return [
    ...leftOutOf(pairs.length + sumOf(read), countsOf(what, read)),
    ...leftOutOf(pairs.length, countsOf(what, skipped)),
    ...leftOutOf(kept, countsOf(what, { 'chosen answer cut': cut.chosen, 'rejected answer cut': cut.rejected })),
  ];
}

async function readKnownPairs(
  file: string,
  warn: (line: string) => void,
  { options }: AlignmentContext,
): Promise<PairReading> {
  const reading = await readPairs(file, { signal: options.signal });
  const skipped = describeSkipped(reading.skipped);
  if (skipped !== '') warn(`pairs are left out (${skipped}), such as ${reading.examples.join('; ')}`);
  return reading;
}

/** What the trainer is given. */
export function trainingSettings(recipe: Recipe, method: 'sft' | 'dpo'): GeneratorTrainingInput {
  if (method === 'dpo') return { ...recipe.dpo, method, seed: recipe.dpo.seed ?? recipe.seed };
  const { enabled: _wanted, ...settings } = recipe.sft;
  return { ...settings, method, seed: settings.seed ?? recipe.seed };
}

/** How often is saved, and how much memory is used, changes nothing. */
function decisiveSettings({ saveSteps: _saved, memory: _held, ...settings }: GeneratorTrainingInput) {
  return settings;
}

/** Names of the training stages by the arm that they make. */
export const TRAINED_BY: Record<'sft' | 'aligned', StageName> = { sft: 'sft', aligned: 'dpo' };
