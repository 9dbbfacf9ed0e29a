import type { Recipe } from '../recipe/recipe-schema.ts';
import { finite, type Rates, type RecipeModels, relativeSize } from '../run/estimates.ts';
import type { FinishedStage } from '../run/run-folder.ts';

/** Tokens per second, and the source of the value. */
export interface PlannedRate {
  /** Null if unknown. */
  tokensPerSecond: number | null;
  source: string;
}

/**
 * Tokens per second of the default generator on two cores: 135 million parameters, 32 texts in parallel, prompts of 60
 * tokens. The speed of other models is about inversely proportional to their parameters.
 */
const STATED = { embedded: 150, training: 250, parameters: 134_515_008 };

/** Tokens per second in the training of the default encoder on two cores: 590 per core, measured on a busy machine. */
const RETRIEVER_RATE = 1180;

/** Tokens per second of the embedded runtime on two cores, by the model's parameters; NaN if these are unknown. */
export function embeddedTokensPerSecond(parameters: number): number {
  return STATED.embedded * (STATED.parameters / parameters);
}

/**
 * Rates measured in the folder, otherwise those in the recipe, otherwise estimates from the model's size. Rates of
 * servers are not estimated.
 */
export function ratesOf(
  { rates, generator: { servers } }: Recipe,
  finished: ReadonlyMap<string, FinishedStage>,
  folder: string,
  { generator: { parameters }, encoder }: Pick<RecipeModels, 'generator' | 'encoder'>,
): Record<keyof Rates, PlannedRate> {
  const isServed = servers.length > 0;
  const sampled = measuredIn(finished.get('candidates')?.record.result);
  const expanded = [...finished].find(([stage]) => stage.startsWith('expand-'))?.[1].record.result;
  const stated = rates.embedded ?? (isServed ? undefined : rates.generation);
  const bySize = (rate: number): PlannedRate => ({
    tokensPerSecond: finite(rate * (STATED.parameters / parameters)),
    source: 'the default model on two cores, by parameters',
  });
  return {
    generation: rateFrom(isServed ? sampled : undefined, rates.generation, folder) ?? {
      tokensPerSecond: null,
      source: 'not stated',
    },
    embedded:
      rateFrom(measuredInParts(expanded) ?? (isServed ? undefined : sampled), stated, folder) ??
      bySize(STATED.embedded),
    training: rateFrom(undefined, rates.training, folder) ?? bySize(STATED.training),
    retriever: rateFrom(measuredIn(finished.get('retriever')?.record.result), rates.retriever, folder) ?? {
      tokensPerSecond: finite(RETRIEVER_RATE / relativeSize(encoder)),
      source: 'the default encoder on two cores, by size',
    },
  };
}

/** The numbers only; NaN if unknown. */
export function valuesOf(rates: Record<keyof Rates, PlannedRate>): Rates {
  const numberOf = ({ tokensPerSecond }: PlannedRate) => tokensPerSecond ?? Number.NaN;
  const { generation, embedded, training, retriever } = rates;
  return {
    ...{ generation: numberOf(generation), embedded: numberOf(embedded) },
    ...{ training: numberOf(training), retriever: numberOf(retriever) },
  };
}

function rateFrom(measured: number | undefined, stated: number | undefined, folder: string): PlannedRate | undefined {
  if (measured !== undefined) return { tokensPerSecond: measured, source: `measured in ${folder}` };
  return stated === undefined ? undefined : { tokensPerSecond: stated, source: 'stated by the recipe' };
}

/** The rate that a stage reports. It is 0, and ignored, if everything existed before. */
function measuredIn(result: unknown): number | undefined {
  const rate = (result as { tokensPerSecond?: unknown } | undefined)?.tokensPerSecond;
  return typeof rate === 'number' && rate > 0 ? rate : undefined;
}

/** Expansions are measured per split and seed. */
function measuredInParts(result: Record<string, unknown> | undefined): number | undefined {
  return Object.values(result ?? {})
    .map(measuredIn)
    .find((rate) => rate !== undefined);
}
