import { z } from 'zod';
import type { BeirDataset } from '../data/index.ts';
import { type ExpandableQuery, type ExpandResult, expandQueries, type Generator } from '../generate/index.ts';
import { expandByStrategy, type StrategyResult } from '../strategies/index.ts';
import type { CommandContext } from './command.ts';
import {
  choosePrompt,
  generatorOptions,
  logProbabilitiesOption,
  openGenerator,
  refuseDocuments,
  samplingOf,
} from './open-generator.ts';
import { type ChosenStrategy, chooseStrategy, strategyOptions } from './strategy-options.ts';

/** Options of every command that expands queries: the language model, and what it is asked for. */
export const expansionOptions = {
  ...generatorOptions,
  ...strategyOptions,
  ...logProbabilitiesOption,
};

const schema = z.object(expansionOptions);
export type ExpansionChoice = z.output<typeof schema>;

/** What is expanded, and where to. */
export interface ExpansionWork {
  dataset: BeirDataset;
  queries: readonly ExpandableQuery[];
  /** All queries, if others are expanded elsewhere. Default: the queries. */
  allQueries?: readonly ExpandableQuery[] | undefined;
  out: string;
  force?: boolean | undefined;
}

type Work = Pick<CommandContext, 'signal' | 'progress'>;

/** Checks the options of an expansion before a model is opened. @param what the command, as the subject of a sentence @throws UsageError, DataError */
export async function checkExpansion(given: ExpansionChoice, what: string): Promise<ChosenStrategy> {
  const chosen = chooseStrategy(given);
  refuseDocuments(await choosePrompt({ ...given, task: chosen.task }), what);
  return chosen;
}

/** Opens the language model with room for the prompts of the strategy. */
export function openWriterOf(given: ExpansionChoice, chosen: ChosenStrategy, context: Work): Promise<Generator> {
  const { promptTokens } = chosen;
  return openGenerator({ ...given, ...chosen }, context, { isTimed: true, promptTokens });
}

/** Writes the expansions that are missing, by the prompt or the strategy of the options. */
export async function writeExpansions(
  given: ExpansionChoice,
  chosen: ChosenStrategy,
  generator: Generator,
  { dataset, queries, allQueries = queries, out, force }: ExpansionWork,
  { signal, progress }: Work,
): Promise<ExpandResult & Partial<StrategyResult>> {
  const common = { queries, generator, seed: given.seed, timings: !given.deterministic, force, out, signal, progress };
  const { strategy, variant } = given;
  if (strategy === undefined) {
    const prompt = await choosePrompt({ ...given, task: chosen.task });
    return expandQueries({ ...common, prompt, sampling: samplingOf(chosen), samples: chosen.samples });
  }
  return expandByStrategy({
    ...{ ...common, strategy, variant, dataset, allQueries },
    settings: { ...samplingOf(chosen), samples: chosen.samples },
    retrieval: given,
  });
}
