import { dirname, join } from 'node:path';
import { loadTopics, type Topics } from '../evaluate/index.ts';
import { expandQueries } from '../generate/index.ts';
import type { ResolvedModel } from '../models/index.ts';
import { openEmbedded } from './open-writer.ts';
import { isTuned } from './recipe.ts';
import type { Recipe } from './recipe-schema.ts';
import { type AlignmentContext, type AlignmentStage, hashOf, outputOf, type WritingArm } from './stages.ts';
import { TRAINED_BY } from './training-stages.ts';

/** Seeds of the expansions: scores are means over them. */
export function generationSeeds({ expansion, seed }: Recipe): number[] {
  return expansion.seeds ?? [seed];
}

/** The development or test queries of a recipe, without expansions. */
export async function loadArmTopics({ recipe, data }: AlignmentContext, split: 'dev' | 'test'): Promise<Topics> {
  const { evaluation } = recipe;
  return loadTopics(data.judged.dataset, data.judged.splits[split], {
    limit: evaluation[split],
    seed: evaluation.seed ?? recipe.seed,
  });
}

/** Name of the output that holds the expansions of one split under one seed. */
export function expansionsName(split: 'dev' | 'test', seed: number): string {
  return `${split}-${seed}`;
}

/**
 * Writes the expansions of one arm: of the test queries under each seed, of the development queries under the first one. All arms
 * share prompt, sampling, token limit and number of samples; only the weights differ.
 */
function expansionStage(arm: WritingArm, wanted: AlignmentStage['wanted']): AlignmentStage {
  return {
    name: `expand-${arm}`,
    wanted,
    settings(context) {
      const { recipe, data, models, prompt } = context;
      const { seeds: _seeds, ...sampling } = recipe.expansion;
      const { evaluation, seed } = recipe;
      const { hashes } = data.judged;
      return {
        generator: models.generator.fingerprint,
        trained: arm === 'zeroShot' ? undefined : trainedHash(context, arm),
        prompt: prompt.text,
        ...sampling,
        seeds: generationSeeds(recipe),
        queries: hashes.queries,
        qrels: [hashes.dev, hashes.test],
        sample: {
          dev: isTuned(recipe) ? (evaluation.dev ?? 'all') : undefined,
          test: evaluation.test,
          seed: evaluation.seed ?? seed,
        },
      };
    },
    run: (context, folder) => expandArm(context, arm, folder),
  };
}

export const expansionStages: AlignmentStage[] = [
  expansionStage('zeroShot', () => true),
  expansionStage('sft', ({ sft }) => sft.enabled),
  expansionStage('aligned', () => true),
];

function trainedHash(context: AlignmentContext, arm: 'sft' | 'aligned') {
  const stage = TRAINED_BY[arm];
  return { adapter: hashOf(context, stage, 'adapter'), model: hashOf(context, stage, 'model') };
}

async function expandArm(context: AlignmentContext, arm: WritingArm, folder: string) {
  const { recipe, prompt, options } = context;
  const { seeds: _all, samples, ...sampling } = recipe.expansion;
  const { model, adapter } = weightsOf(context, arm);
  const generator = await openEmbedded(recipe.generator, model, sampling.maxTokens, options, adapter);
  const [first, ...others] = generationSeeds(recipe) as [number, ...number[]];
  const parts = [
    ...(isTuned(recipe) ? [{ split: 'dev' as const, seed: first }] : []),
    { split: 'test' as const, seed: first },
    ...others.map((seed) => ({ split: 'test' as const, seed })),
  ];
  const outputs: Record<string, string> = {};
  const result: Record<string, unknown> = { generator: generator.id, fingerprint: generator.fingerprint };
  try {
    for (const { split, seed } of parts) {
      const name = expansionsName(split, seed);
      const { queries } = await loadArmTopics(context, split);
      const out = join(folder, name, 'expansions.jsonl');
      const { files, statistics } = await expandQueries({
        ...{ queries, generator, prompt, sampling, samples, seed, out },
        // Wall times would make equal texts unequal files.
        timings: false,
        signal: options.signal,
        progress: options.progress,
      });
      outputs[name] = files.expansions;
      result[name] = statistics;
    }
  } finally {
    await generator.close();
  }
  return { outputs, result };
}

/** The base, with an adapter, or a model of its own. */
function weightsOf(context: AlignmentContext, arm: WritingArm): { model: ResolvedModel; adapter?: string } {
  const base = context.models.generator;
  if (arm === 'zeroShot') return { model: base };
  const stage = TRAINED_BY[arm];
  const adapter = outputOf(context, stage, 'adapter');
  if (adapter !== undefined) return { model: base, adapter: dirname(adapter) };
  const path = outputOf(context, stage, 'model')!;
  const fingerprint = hashOf(context, stage, 'model')!;
  return { model: { name: `${base.name}, ${arm}`, path, format: 'gguf', fingerprint, source: stage } };
}
