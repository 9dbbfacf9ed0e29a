import { z } from 'zod';
import type { DevTopics } from '../evaluate/index.ts';
import { counted, DEFAULT_SEED } from '../system/index.ts';
import type { CommandContext } from './command.ts';

/** `--seed` of commands that learn from development queries. */
export const crossValidationSeed = z.coerce
  .number()
  .int()
  .nonnegative()
  .default(DEFAULT_SEED)
  .describe('seed of the cross-validation and of the tests');

/** Says which split is used and why, if it is not the development split, and how many of its queries are left out. */
export function sayDevTopics(
  { split, reason, lacking, topics }: DevTopics,
  dataset: string,
  { warn }: Pick<CommandContext, 'warn'>,
): void {
  if (reason !== undefined) warn(`${dataset}: uses split ${split}, because ${reason}`);
  if (lacking === 0) return;
  const used = topics.queries.length;
  warn(
    `${dataset}: ${used} of ${counted(used + lacking, 'query')} of split ${split} have expansions; the others are left out`,
  );
}
