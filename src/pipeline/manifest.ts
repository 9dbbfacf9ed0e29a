import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { packageVersion, writeDurably } from '../system/index.ts';
import { generationSeeds } from './expansion-stages.ts';
import { recipeHash } from './recipe.ts';
import type { RunFolder } from './run-folder.ts';
import type { AlignmentContext } from './stages.ts';

/** What a rerun may differ in. */
const REPRODUCIBLE =
  'Given the same sampled texts, rewards, pairs, training and evaluation are reproduced to the last bit. The texts themselves (candidates, answers, expansions) are not where the LLM runs on more than one thread, or on a server: seeds are fixed, rounding is not.';

/**
 * Writes `manifest.json`: recipe, versions, seeds, hashes of models, data and prompts, host, and what each stage made and took.
 * @returns its path
 */
export async function writeManifest(context: AlignmentContext, run: RunFolder): Promise<string> {
  const file = join(run.path, 'manifest.json');
  await writeDurably(file, `${JSON.stringify(describeRun(context, run), null, 1)}\n`);
  return file;
}

/** The manifest as plain data. */
export function describeRun(context: AlignmentContext, run: RunFolder) {
  const { recipe, data, models, prompt, answerPrompt, options, done } = context;
  const { name, fingerprint, source } = models.generator;
  return {
    command: 'align',
    version: packageVersion(),
    recipe,
    recipeHash: recipeHash(recipe),
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
      encoder: { name: models.encoder.id, fingerprint: models.encoder.fingerprint, ...models.encoder.settings },
    },
    prompts: { expansion: prompt.text, answer: answerPrompt.text },
    host: hostFacts(options.threads),
    reproducibility: REPRODUCIBLE,
    stages: [...done].map(([stage, { record, folder }]) => ({
      stage,
      ...{ folder: run.relative(folder), key: record.key, version: record.version, seconds: record.seconds },
      ...{ outputs: record.outputs, result: record.result },
    })),
    seconds: [...done.values()].reduce((sum, { record }) => sum + record.seconds, 0),
  };
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
