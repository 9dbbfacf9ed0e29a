import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readExpansions } from '../../data/index.ts';
import { loadTopics, type Topics, withExpansions } from '../../evaluate/index.ts';
import { expandQueries, type Generator } from '../../generate/index.ts';
import { type LeftOut, leftOutOf } from '../../report/index.ts';
import { isTuned } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { copiesToMake, type Estimate, type Known, many, written } from '../run/estimates.ts';
import { runtimeCopies } from '../run/model-facts.ts';
import { check, loadCheck } from '../run/recipe-checks.ts';
import { RunFolder } from '../run/run-folder.ts';
import type { AlignmentContext, AlignmentStage, WritingArm } from '../run/stage.ts';
import { armInputs, armSampling, checkServedArm, isServed, openArmWriter } from './arm-writers.ts';

/** Version of the code that writes expansions; it is also in the key of each part of an arm. */
const VERSION = 1;

/** Seeds of the expansions; scores are means over them. */
export function generationSeeds({ expansion, seed }: Recipe): number[] {
  return expansion.seeds ?? [seed];
}

/** Loads the dev or test queries of a recipe, without expansions. */
export async function loadArmTopics({ recipe, data }: AlignmentContext, split: 'dev' | 'test'): Promise<Topics> {
  const { evaluation } = recipe;
  return loadTopics(data.judged.dataset, data.judged.splits[split], {
    limit: evaluation[split],
    seed: evaluation.seed ?? recipe.seed,
  });
}

/** Name of the output that holds the expansions of one split and seed. */
export function expansionsName(split: 'dev' | 'test', seed: number): string {
  return `${split}-${seed}`;
}

/** Everything that determines the texts of a part of an arm, except its queries and its seed. */
function partSettings(context: AlignmentContext, arm: WritingArm): Record<string, unknown> {
  const sampling = armSampling(context.recipe);
  return { version: VERSION, prompt: context.prompt.text, ...sampling, ...armInputs(context, arm) };
}

function estimateExpansion(recipe: Recipe, { counts: { dev, test }, rates }: Known): Estimate {
  const { samples, maxTokens: limit } = recipe.expansion;
  const seeds = generationSeeds(recipe).length;
  const texts = (dev + seeds * test) * samples;
  const work = `${many(dev, 'dev query')}, ${many(test, 'test query')}, ${many(seeds, 'seed')}`;
  return written(work, { texts, limit, rate: isServed(recipe) ? rates.generation : rates.embedded });
}

/** What determines the expanded queries of a split. */
function querySettings({ recipe, data }: AlignmentContext, split: 'dev' | 'test'): Record<string, unknown> {
  const { evaluation, seed } = recipe;
  const { hashes } = data.judged;
  const sample = { queries: evaluation[split] ?? 'all', seed: evaluation.seed ?? seed };
  return { split, queries: hashes.queries, qrels: hashes[split], sample };
}

/** The parts of an arm: the dev queries with the first seed, for tuning alpha, then the test queries with each seed. */
function partsOf(recipe: Recipe): { split: 'dev' | 'test'; seed: number }[] {
  const seeds = generationSeeds(recipe);
  const test = seeds.map((seed) => ({ split: 'test' as const, seed }));
  return isTuned(recipe) ? [{ split: 'dev', seed: seeds[0]! }, ...test] : test;
}

/**
 * The stage that writes the expansions of one arm. All arms share prompt, sampling, token limit and number of samples;
 * only the weights differ.
 */
function expansionStage(arm: WritingArm, wanted: AlignmentStage['wanted']): AlignmentStage {
  return {
    name: `expand-${arm}`,
    version: VERSION,
    rounds: 'best',
    wanted,
    settings: ({ recipe, prompt }) => ({ prompt: prompt.text, ...armSampling(recipe) }),
    inputs(context) {
      const parts = partsOf(context.recipe).map((part) => ({ ...part, ...querySettings(context, part.split) }));
      return { ...armInputs(context, arm), parts };
    },
    checks: (recipe) => (isServed(recipe) ? [check(`expand-${arm}`, () => checkServedArm(recipe, arm))] : []),
    modelChecks: (context) =>
      arm === 'zeroShot' ? [loadCheck(`expand-${arm}`, () => openArmWriter(context, arm))] : [],
    estimate: estimateExpansion,
    files: async (recipe, { generator }) =>
      isServed(recipe) ? [] : copiesToMake(await runtimeCopies(generator, recipe.generator.gpu)),
    run: (context, folder) => expandArm(context, arm, folder),
  };
}

export const expansionStages: AlignmentStage[] = [
  expansionStage('zeroShot', () => true),
  expansionStage('sft', ({ sft }) => sft.enabled),
  expansionStage('aligned', () => true),
];

async function expandArm(context: AlignmentContext, arm: WritingArm, folder: string) {
  const parts = new ArmParts(context, arm, folder);
  const outputs: Record<string, string> = {};
  const result: Record<string, unknown> = {};
  try {
    for (const { split, seed } of partsOf(context.recipe)) {
      const { file, facts } = await parts.write(split, seed);
      const name = expansionsName(split, seed);
      outputs[name] = file;
      result[name] = facts;
    }
  } finally {
    await parts.close();
  }
  return { outputs, result: { ...result, leftOut: unwritten(Object.values(result)) } };
}

/**
 * The expansions of an arm. Each part (a split with a seed) is a separate stage in `expansions/`. Other stages and other runs reuse
 * it if they need the same texts, so a further seed costs only itself. The LLM is loaded when a part is missing.
 */
class ArmParts {
  readonly #context: AlignmentContext;
  readonly #arm: WritingArm;
  readonly #parts: RunFolder;
  #writer: Promise<Generator> | undefined;

  /** @param stageFolder folder of the stage that needs the expansions */
  constructor(context: AlignmentContext, arm: WritingArm, stageFolder: string) {
    this.#context = context;
    this.#arm = arm;
    this.#parts = new RunFolder(join(dirname(stageFolder), 'expansions'));
  }

  async write(split: 'dev' | 'test', seed: number): Promise<{ file: string; facts: Record<string, unknown> }> {
    const { record, folder } = await this.#parts.stage({
      stage: `${this.#arm}-${split}`,
      settings: { ...partSettings(this.#context, this.#arm), ...querySettings(this.#context, split), seed },
      run: async (own) => writePart(this.#context, await this.#open(), split, seed, own),
    });
    return { file: join(folder, record.outputs.expansions!.file), facts: record.result };
  }

  async close(): Promise<void> {
    const [writer] = await Promise.allSettled([this.#writer]);
    if (writer.status === 'fulfilled') await writer.value?.close();
  }

  #open(): Promise<Generator> {
    this.#writer ??= openArmWriter(this.#context, this.#arm);
    return this.#writer;
  }
}

/** The dev queries as an arm expands them under the first seed. @param stageFolder folder of the stage that needs them */
export async function expandedDevTopics(
  context: AlignmentContext,
  arm: WritingArm,
  stageFolder: string,
): Promise<Topics> {
  const parts = new ArmParts(context, arm, stageFolder);
  try {
    const { file } = await parts.write('dev', generationSeeds(context.recipe)[0]!);
    return withExpansions(await loadArmTopics(context, 'dev'), await readExpansions(file));
  } finally {
    await parts.close();
  }
}

/** What determines these expansions. */
export function devTopicsInputs(context: AlignmentContext, arm: WritingArm): Record<string, unknown> {
  const seed = generationSeeds(context.recipe)[0]!;
  return { ...partSettings(context, arm), ...querySettings(context, 'dev'), seed };
}

const partSchema = z.object({
  ...{ expansions: z.number(), empty: z.number(), cutByLength: z.number() },
  cutByContext: z.number().default(0),
  unfinishedThought: z.number().default(0),
  promptTooLong: z.number().default(0),
  contentFilter: z.number().default(0),
});

/** Counts over all parts of an arm. */
function unwritten(parts: readonly unknown[]): LeftOut[] {
  const counts = parts.map((part) => partSchema.parse(part));
  const sum = (name: keyof (typeof counts)[number]) => counts.reduce((total, part) => total + part[name], 0);
  return leftOutOf(sum('expansions'), {
    'expansions cut at the token limit': sum('cutByLength'),
    'expansions cut because the context was full': sum('cutByContext'),
    'expansions without text (the raw query is searched)': sum('empty'),
    'expansions without text because the LLM was still thinking': sum('unfinishedThought'),
    'expansions without text because the prompt is longer than the context': sum('promptTooLong'),
    "expansions without text because of the server's content filter": sum('contentFilter'),
  });
}

async function writePart(
  context: AlignmentContext,
  generator: Generator,
  split: 'dev' | 'test',
  seed: number,
  folder: string,
) {
  const { recipe, prompt, options } = context;
  const { samples, ...sampling } = armSampling(recipe);
  const { queries } = await loadArmTopics(context, split);
  const { files, statistics } = await expandQueries({
    ...{ queries, generator, prompt, sampling, samples, seed, out: join(folder, 'expansions.jsonl') },
    // With wall times, equal texts would give unequal files.
    timings: false,
    signal: options.signal,
    progress: options.progress,
  });
  const { id, fingerprint } = generator;
  return { outputs: { expansions: files.expansions }, result: { generator: id, fingerprint, ...statistics } };
}
