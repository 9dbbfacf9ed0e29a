import { UsageError } from '../system/index.ts';
import { CSQE } from './methods/csqe.ts';
import { GENQR, GENQR_ENSEMBLE } from './methods/genqr.ts';
import { HYDE } from './methods/hyde.ts';
import { LAMER } from './methods/lamer.ts';
import { MUGI } from './methods/mugi.ts';
import { QA_EXPAND } from './methods/qa-expand.ts';
import { QUERY2DOC } from './methods/query2doc.ts';
import { TASK_STRATEGIES } from './methods/tasks.ts';
import { THINKQE } from './methods/thinkqe.ts';
import type { Strategy } from './strategy.ts';

/** All strategies, in the order of the help. */
export const STRATEGIES: readonly Strategy[] = [
  ...TASK_STRATEGIES,
  QUERY2DOC,
  HYDE,
  MUGI,
  GENQR,
  GENQR_ENSEMBLE,
  QA_EXPAND,
  LAMER,
  CSQE,
  THINKQE,
];

export const STRATEGY_NAMES = STRATEGIES.map(({ name }) => name) as [string, ...string[]];

/** Returns a strategy by its name. @throws UsageError that lists the names */
export function strategyOf(name: string): Strategy {
  const found = STRATEGIES.find((strategy) => strategy.name === name);
  if (found !== undefined) return found;
  throw new UsageError(`there is no strategy ${JSON.stringify(name)}`, {
    fix: `Choose one of ${STRATEGY_NAMES.join(', ')}.`,
  });
}

/** Whether a strategy searches the corpus before its prompts are made. */
export function readsCorpus({ steps }: Strategy): boolean {
  return steps.some(({ search }) => search !== undefined);
}

/**
 * Returns the wording for a data set: the one that is given, that of the data set's name, or the first.
 * @throws UsageError if the strategy lacks the given one
 */
export function variantOf({ name, variants }: Strategy, given: string | undefined, dataset: string): string {
  if (given === undefined) return variants.find((variant) => variant === dataset.toLowerCase()) ?? variants[0] ?? '';
  if (variants.includes(given)) return given;
  throw new UsageError(`strategy ${name} has no variant ${JSON.stringify(given)}`, {
    fix: variants.length === 0 ? 'Omit --variant: it has one wording.' : `Choose one of ${variants.join(', ')}.`,
  });
}
