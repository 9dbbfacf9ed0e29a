import { availableParallelism, hostname } from 'node:os';
import { isThere, makeFolder, packageVersion, UsageError, writeDurably } from '../../system/index.ts';
import { openGeneratorBase } from '../generator/generator-base.ts';
import {
  countsOf,
  type GivenPairs,
  openGeneratorPairs,
  type PairCounts,
  pairHashes,
} from '../generator/generator-pairs.ts';
import { type GeneratorTrainingSettings, parseGeneratorSettings } from '../generator/generator-settings.ts';
import { watchSteps } from '../generator/preference-watch.ts';
import { manifestFile, type TrainGeneratorOptions, trainingSettings } from '../generator/train-generator.ts';
import { prepareTrl, type TrlFiles, type TrlOptions, type TrlResult, trainWithTrl } from './trl-engine.ts';
import type { TrlJob } from './trl-plan.ts';
import type { TrlSettingsInput } from './trl-settings.ts';

export interface TrainGeneratorWithTrlOptions
  extends Omit<TrainGeneratorOptions, 'threads' | 'cache'>,
    Pick<TrlOptions, 'environment' | 'onCommands'> {
  engine?: TrlSettingsInput | undefined;
}

export interface TrainGeneratorWithTrlResult extends TrlResult {
  train: PairCounts;
  dev: PairCounts;
  manifestFile: string;
  seconds: number;
}

/**
 * Trains a generator with the same settings and pairs as `trainGenerator`, but with TRL under accelerate. It skips the
 * same pairs as the local engine. Writes `adapter/`, `metrics.jsonl` and `manifest.json`.
 * @throws as {@link trainWithTrl}; DataError if no pair is left
 */
export async function trainGeneratorWithTrl(
  options: TrainGeneratorWithTrlOptions,
): Promise<TrainGeneratorWithTrlResult> {
  const started = performance.now();
  const settings = parseGeneratorSettings(options.settings ?? {});
  refuseFull(settings);
  const { pairs, train, dev } = await choosePairs(settings, options);
  const { out: folder, base, engine, environment, signal, progress, onCommands, onEvaluation } = options;
  const job: TrlJob = { base, ...trlJobOf(settings, pairs, engine) };
  const trained = await trainWithTrl(job, {
    ...{ folder, environment, signal, progress, onCommands, onEvaluation },
    onStep: watchSteps(options),
  });
  const seconds = (performance.now() - started) / 1000;
  const result = { ...trained, train, dev, manifestFile: manifestFile(folder), seconds };
  await writeManifest(result, settings, options);
  return result;
}

/**
 * Writes everything that TRL needs for the same training, without starting it; TRL need not be installed here. When the
 * folder is back with TRL's last checkpoint, {@link trainGeneratorWithTrl} imports the result from it.
 * @throws as {@link trainGeneratorWithTrl}, except for faults of TRL itself
 */
export async function prepareGeneratorForTrl(
  options: TrainGeneratorWithTrlOptions,
): Promise<TrlFiles & { train: PairCounts; dev: PairCounts }> {
  const settings = parseGeneratorSettings(options.settings ?? {});
  refuseFull(settings);
  const { pairs, train, dev } = await choosePairs(settings, options);
  const { out: folder, base, engine, signal, progress } = options;
  const files = await prepareTrl({ base, ...trlJobOf(settings, pairs, engine) }, { folder, signal, progress });
  return { ...files, train, dev };
}

/** Builds the job for TRL. @throws UsageError if all weights are to be trained */
export function trlJobOf(
  settings: GeneratorTrainingSettings,
  pairs: TrlJob['pairs'],
  engine: TrlSettingsInput | undefined,
): Omit<TrlJob, 'base'> {
  refuseFull(settings);
  const { method, maxLength, disableDropout, loadBestModelAtEnd } = settings;
  const { loraR, loraAlpha, loraDropout, loraTargetModules, useRslora } = settings;
  const { beta, lossType, lossWeights, labelSmoothing } = settings;
  return {
    ...{ method, pairs, maxLength, disableDropout, loadBestModelAtEnd, engine },
    settings: trainingSettings(settings),
    lora: { loraR, loraAlpha, loraDropout, loraTargetModules, useRslora },
    loss: { beta, lossType, lossWeights, labelSmoothing },
  };
}

function refuseFull({ full }: GeneratorTrainingSettings): void {
  if (!full) return;
  throw new UsageError('full: TRL is used to train adapters only', {
    fix: 'Omit full, or train with the local engine.',
  });
}

/**
 * Refuses extra variables of the chat template: TRL renders the template itself and does not receive them.
 * @throws UsageError
 */
export function refuseTemplateVariables(variables: Readonly<Record<string, unknown>> | undefined): void {
  if (variables === undefined || Object.keys(variables).length === 0) return;
  throw new UsageError('chatTemplateKwargs: TRL renders chat templates without extra variables', {
    fix: 'Train with the local engine, or omit chatTemplateKwargs.',
  });
}

/** The pairs that can be trained on, judged by their tokens as the local engine does. */
async function choosePairs(
  settings: GeneratorTrainingSettings,
  options: TrainGeneratorWithTrlOptions,
): Promise<{ pairs: TrlJob['pairs']; train: PairCounts; dev: PairCounts }> {
  refuseTemplateVariables(options.chatTemplateKwargs);
  const base = await openGeneratorBase(options.base);
  try {
    const { train, dev } = await openGeneratorPairs(base, settings, options);
    return { pairs: { train: keptOf(train), dev: keptOf(dev) }, train: countsOf(train), dev: countsOf(dev) };
  } finally {
    await base.close();
  }
}

function keptOf({ records, tokenized: { pairs } }: GivenPairs): TrlJob['pairs']['train'] {
  const ids = new Set(pairs.map(({ id }) => id));
  return records.filter(({ id }) => ids.has(id));
}

async function writeManifest(
  { steps, step, best, installation, seconds, train, dev, manifestFile: file }: TrainGeneratorWithTrlResult,
  settings: GeneratorTrainingSettings,
  { base: { name, fingerprint, source }, pairs, devPairs, engine, about, out }: TrainGeneratorWithTrlOptions,
): Promise<void> {
  // A finished run already has its manifest, unless it ended on another machine.
  if (installation === undefined && (await isThere(file))) return;
  const document = {
    stage: 'train generator',
    version: packageVersion(),
    settings,
    engine: { name: 'trl', settings: engine ?? {}, versions: installation?.versions },
    base: { name, fingerprint, source },
    inputs: { ...pairHashes({ pairs, devPairs }), ...about },
    counts: { train, dev },
    host: { name: hostname(), platform: process.platform, threads: availableParallelism() },
    result: {
      kind: 'adapter',
      step,
      steps,
      best: best && { step: best.step, value: best.value },
      seconds: Math.round(seconds),
    },
  };
  await makeFolder(out);
  await writeDurably(file, `${JSON.stringify(document, null, 2)}\n`);
}
