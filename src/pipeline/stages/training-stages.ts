import { join } from 'node:path';
import { type PairReading, readPairs } from '../../data/index.ts';
import { exportGguf } from '../../models/index.ts';
import { countsOf, type LeftOut, leftOutOf, sumOf } from '../../report/index.ts';
import {
  checkGeneratorBase,
  checkGeneratorSettings,
  describeSkipped,
  findTrl,
  type GeneratorTrainingInput,
  type GeneratorTrainingSettings,
  type PairCounts,
  refuseTemplateVariables,
  type TrainGeneratorOptions,
  trainGenerator,
  trainGeneratorWithTrl,
} from '../../train/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import {
  type Estimate,
  finite,
  type Known,
  many,
  NUMBER_BYTES,
  type PlannedFile,
  pairsAtMost,
  TOKEN_BYTES,
} from '../run/estimates.ts';
import { generatorOf } from '../run/generators.ts';
import { adapterParameters, type ModelFacts } from '../run/model-facts.ts';
import { check, type RecipeCheck } from '../run/recipe-checks.ts';
import {
  type AlignmentContext,
  type AlignmentStage,
  type CheckOptions,
  hashOf,
  type MachineFacts,
  outputOf,
} from '../run/stage.ts';
import { StageWarnings } from '../run/stage-warnings.ts';

/** Bytes of a parameter in f32 with AdamW's two running means. */
const TRAINED_BYTES = 12;
/** Number of checkpoints that both engines keep: the last and the best. */
const CHECKPOINTS = 2;
/** Bytes per frozen weight, by storage. */
const STORAGE_BYTES: Readonly<Record<Recipe['dpo']['storage'], number>> = { f32: 4, f16: 2, int8: 1, int4: 0.64 };

type Method = 'sft' | 'dpo';

/** The training stage of one arm: DPO, or SFT on the chosen answers. */
function trainingStage(name: Method, wanted: AlignmentStage['wanted']): AlignmentStage {
  return {
    name,
    version: 1,
    wanted,
    settings({ recipe, options: { engine } }) {
      const settings = decisiveSettings(trainingSettings(recipe, name));
      return { ...settings, engine, trl: engine === 'trl' ? recipe.trl : undefined };
    },
    inputs(context) {
      return {
        base: generatorOf(context).fingerprint,
        chatTemplateKwargs: context.recipe.generator.chatTemplateKwargs,
        pairs: hashOf(context, 'pairs', 'pairs'),
        devPairs: hashOf(context, 'pairs', 'dev'),
      };
    },
    checks: (recipe, options) => [check(name, () => describeTraining(parsedTraining(recipe, options, name)))],
    machineChecks: (recipe, facts) => machineChecks(recipe, facts, name),
    estimate: (recipe, known) => estimateTraining(recipe, known, name),
    files: (recipe, { generator }, engine) => (engine === 'local' ? frozenWeights(recipe[name], generator) : []),
    run: (context, folder) => trainArm(context, name, folder),
  };
}

export const sftStage = trainingStage('sft', ({ sft }) => sft.enabled);
export const dpoStage = trainingStage('dpo', () => true);

function parsedTraining(recipe: Recipe, { engine }: CheckOptions, method: Method): GeneratorTrainingSettings {
  const trl = engine === 'trl' ? recipe.trl : undefined;
  if (trl !== undefined) refuseTemplateVariables(recipe.generator.chatTemplateKwargs);
  return checkGeneratorSettings(trainingSettings(recipe, method), { trl, hasDev: recipe.pairs.dev > 0 });
}

function describeTraining({ learningRate, loraR, full }: GeneratorTrainingSettings): string {
  return `${full ? 'all weights' : `LoRA of rank ${loraR}`}, learning rate ${learningRate}`;
}

/** Checks whether the training fits the model, and whether TRL is installed if it trains here. */
function machineChecks(recipe: Recipe, facts: MachineFacts, method: Method): RecipeCheck[] {
  const { base, engine, isElsewhere = false, signal } = facts;
  const fits = base && {
    input: `${method} of ${base.name}`,
    async find() {
      await checkGeneratorBase(base, [parsedTraining(recipe, facts, method)]);
      return `lengths and layers fit ${base.name}`;
    },
  };
  const trl = {
    input: 'TRL',
    async find() {
      const { python, versions } = await findTrl({ deepspeed: recipe.trl.zero2, signal });
      return `${versions.trl} in ${python}`;
    },
  };
  return [...(fits === undefined ? [] : [fits]), ...(engine === 'trl' && !isElsewhere ? [trl] : [])];
}

function estimateTraining(recipe: Recipe, known: Known, method: Method): Estimate {
  const { epochs, maxLength } = recipe[method];
  const { prompt, rates } = known;
  const pairs = pairsAtMost(recipe, known);
  const answer = Math.max(0, Math.min(recipe.candidates.maxTokens, maxLength - prompt));
  const tokens = pairs * epochs * (prompt + (method === 'dpo' ? 2 : 1) * answer);
  const bytes = trainedBytes(recipe[method], known, tokens * TOKEN_BYTES);
  return { work: `${many(pairs, 'pair')}, ${many(epochs, 'epoch')}`, tokens, bytes, seconds: tokens / rates.training };
}

/** Bytes of the result and its checkpoints; with TRL also of its examples and of its copy of the base. */
function trainedBytes(settings: Recipe[Method], { engine, generator }: Known, examples: number): number {
  const { parameters, isGguf } = generator;
  if (settings.full) {
    const runtime = 2 * parameters;
    return CHECKPOINTS * TRAINED_BYTES * parameters + NUMBER_BYTES * parameters + runtime;
  }
  const adapter = (CHECKPOINTS * TRAINED_BYTES + NUMBER_BYTES) * adapterParameters(generator, settings);
  if (engine === 'local') return adapter;
  const base = isGguf === undefined ? Number.NaN : isGguf ? NUMBER_BYTES * parameters : 0;
  return adapter + examples + base;
}

/** The weights that the training engine maps into memory. SFT and DPO share them if their storage is the same. */
function frozenWeights({ full, storage }: Recipe[Method], { name, parameters }: ModelFacts): PlannedFile[] {
  if (full) return [];
  const file = `${name} as the training engine reads it, in ${storage}`;
  return [{ file, state: 'at most', bytes: finite(STORAGE_BYTES[storage] * parameters) }];
}

async function trainArm(context: AlignmentContext, name: 'sft' | 'dpo', folder: string) {
  const { recipe, options } = context;
  const warnings = await StageWarnings.open(folder);
  const warn = (line: string) => {
    warnings.add(line);
    options.warn(`${name}: ${line}`);
  };
  const pairs = await readKnownPairs(outputOf(context, 'pairs', 'pairs')!, warn, context);
  const devFile = outputOf(context, 'pairs', 'dev');
  const dev = devFile === undefined ? undefined : await readKnownPairs(devFile, warn, context);
  const given: GivenTraining = {
    base: generatorOf(context),
    pairs: pairs.pairs,
    devPairs: dev?.pairs ?? [],
    out: folder,
    settings: trainingSettings(recipe, name),
    chatTemplateKwargs: recipe.generator.chatTemplateKwargs,
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

/** Trains with TRL: same data, settings and adapter layout. With several machines, a warning lists their commands. */
async function trainWithOthers(given: GivenTraining, { recipe, options }: AlignmentContext) {
  const result = await trainGeneratorWithTrl({
    ...given,
    engine: recipe.trl,
    onCommands: (commands) => options.warn(`run on the other machines, in ${given.out}:\n${commands.join('\n')}`),
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

/** If all weights were trained: converts the model for the embedded runtime. */
async function runtimeFile(
  model: string,
  folder: string,
  { options }: AlignmentContext,
): Promise<Record<string, string>> {
  const file = join(folder, 'model.gguf');
  await exportGguf(file, { base: model, signal: options.signal, progress: options.progress });
  return { model: file };
}

/** Pairs skipped when the file was read, and pairs skipped or truncated because of their tokens. */
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
  if (skipped !== '') warn(`pairs are skipped (${skipped}), such as ${reading.examples.join('; ')}`);
  return reading;
}

/** The settings for the trainer. */
export function trainingSettings(recipe: Recipe, method: 'sft' | 'dpo'): GeneratorTrainingInput {
  if (method === 'dpo') return { ...recipe.dpo, method, seed: recipe.dpo.seed ?? recipe.seed };
  const { enabled: _wanted, ...settings } = recipe.sft;
  return { ...settings, method, seed: settings.seed ?? recipe.seed };
}

/** The settings without those that do not affect the result: the saving interval and the memory. */
function decisiveSettings({ saveSteps: _saved, memory: _held, ...settings }: GeneratorTrainingInput) {
  return settings;
}

/** Names of the training stages, by the arm that they produce. */
export const TRAINED_BY: Record<'sft' | 'aligned', string> = { sft: 'sft', aligned: 'dpo' };
