import { dirname } from 'node:path';
import { connectGenerator, type Generator, servedModels, WRITERS_FORMAT } from '../../generate/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { refuseServerOffline, UsageError } from '../../system/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { generatorOf } from '../run/generators.ts';
import { contextOf, openEmbedded, templateBody } from '../run/open-writer.ts';
import { type AlignmentContext, hashOf, outputOf, type WritingArm } from '../run/stage.ts';
import { TRAINED_BY } from './training-stages.ts';

/** The sampling settings of expansions, whatever writes them. */
export function armSampling({ expansion }: Recipe) {
  const { seeds: _parts, servers: _where, serverModels: _names, ...sampling } = expansion;
  return sampling;
}

/** Whether servers write all arms. */
export function isServed({ expansion }: Pick<Recipe, 'expansion'>): boolean {
  return expansion.servers.length > 0;
}

/**
 * The weights that write an arm and their context, independent of queries and seed. A server is identified by the name
 * of its model.
 */
export function armInputs(context: AlignmentContext, arm: WritingArm): Record<string, unknown> {
  const { recipe } = context;
  const trained = arm === 'zeroShot' ? undefined : trainedHash(context, arm);
  const generator = baseOf(context, arm).fingerprint;
  const { chatTemplateKwargs } = recipe.generator;
  const common = { writers: WRITERS_FORMAT, generator, trained, chatTemplateKwargs };
  if (isServed(recipe)) return { ...common, served: serverModel(recipe, arm) };
  return {
    ...common,
    context: contextOf(recipe.generator, recipe.expansion.maxTokens),
    gpu: recipe.generator.gpu || undefined,
  };
}

/**
 * Opens the writer of an arm: the embedded runtime with the arm's weights, or servers that serve them under a name.
 * @throws UsageError if a server does not list the name; the fix names the weights to load
 */
export async function openArmWriter(context: AlignmentContext, arm: WritingArm): Promise<Generator> {
  const { recipe, options } = context;
  const { model, adapter } = weightsOf(context, arm);
  if (!isServed(recipe)) {
    return openEmbedded(recipe.generator, model, recipe.expansion.maxTokens, options, adapter);
  }
  const { servers: baseUrls } = recipe.expansion;
  const { signal, offline } = options;
  refuseServerOffline(baseUrls[0]!, offline);
  const name = serverModel(recipe, arm);
  for (const [url, names] of await servedModels({ baseUrls, signal })) {
    if (!names.includes(name)) throw notServed(url, name, adapter ?? model.path);
  }
  const { concurrency } = recipe.generator;
  const extraBody = templateBody(recipe.generator);
  return connectGenerator({ baseUrls, model: name, concurrency, extraBody, useN: true, signal });
}

/** Checks that the arm has a model name on the servers, if there are servers. @throws UsageError */
export function checkServedArm({ expansion }: Recipe, arm: WritingArm): string {
  if (!isServed({ expansion })) return 'the embedded runtime';
  const name = expansion.serverModels[arm];
  if (name !== undefined) return `${name} on ${expansion.servers.join(', ')}`;
  throw new UsageError(`servers write the arms, but ${arm} has no model name there`, {
    fix: `Set expansion.serverModels.${arm} to the name of the base or its adapter, as the server lists it under /models.`,
  });
}

function serverModel({ expansion }: Recipe, arm: WritingArm): string {
  return expansion.serverModels[arm] ?? '';
}

function notServed(url: string, name: string, weights: string): UsageError {
  return new UsageError(`${url} serves no model ${JSON.stringify(name)}`, {
    fix: `Load ${weights} there under that name (vLLM: --enable-lora --lora-modules ${name}=${weights}), then run the same command again.`,
  });
}

function trainedHash(context: AlignmentContext, arm: 'sft' | 'aligned') {
  const stage = TRAINED_BY[arm];
  return { adapter: hashOf(context, stage, 'adapter'), model: hashOf(context, stage, 'model') };
}

/** The LLM that an arm's weights were trained from. */
function baseOf(context: AlignmentContext, arm: WritingArm): ResolvedModel {
  return arm === 'zeroShot' ? context.models.generator : generatorOf(context);
}

/** The weights of an arm: the base, the base with an adapter, or a fully trained model. */
function weightsOf(context: AlignmentContext, arm: WritingArm): { model: ResolvedModel; adapter?: string } {
  const base = baseOf(context, arm);
  if (arm === 'zeroShot') return { model: base };
  const stage = TRAINED_BY[arm];
  const adapter = outputOf(context, stage, 'adapter');
  if (adapter !== undefined) return { model: base, adapter: dirname(adapter) };
  const path = outputOf(context, stage, 'model')!;
  const fingerprint = hashOf(context, stage, 'model')!;
  return { model: { name: `${base.name}, ${arm}`, path, format: 'gguf', fingerprint, source: stage } };
}
