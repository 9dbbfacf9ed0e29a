import { Random, UsageError } from '../system/index.ts';
import { meanOf } from './combination-values.ts';

/** Number of parts of the cross-validation; fewer if there are fewer queries. */
const FOLDS = 10;

/**
 * Returns for each query the choice that is best on the other parts. Among equally good choices, it is the first.
 * @param choices such as alphas, those first that trust the expansions least
 * @param values the measure of each query, by choice // [choices]
 * @throws UsageError for no choices, or a single query
 */
export function crossValidate<Choice>(
  ids: readonly string[],
  choices: readonly Choice[],
  values: readonly ReadonlyMap<string, number>[],
  seed: number,
): Map<string, Choice> {
  if (choices.length === 0) {
    throw new UsageError('no alpha to choose from', { fix: 'Pass at least one value from 0 to 1.' });
  }
  if (ids.length < 2) {
    throw new UsageError('cross-validation needs at least two queries', {
      fix: 'Pass a single --alpha, or development queries.',
    });
  }
  const shuffled = new Random(seed).shuffle([...ids]);
  const folds = Math.min(FOLDS, ids.length);
  const chosen = new Map<string, Choice>();
  for (let fold = 0; fold < folds; fold++) {
    const others = shuffled.filter((_id, at) => at % folds !== fold);
    const best = choices[bestOf(values.map((one) => meanOf(one, others)))]!;
    shuffled.forEach((id, at) => {
      if (at % folds === fold) chosen.set(id, best);
    });
  }
  return chosen;
}

/** Returns the place of the largest mean; among equal ones, the first. */
export function bestOf(means: readonly number[]): number {
  return means.reduce((best, mean, at) => (mean > means[best]! ? at : best), 0);
}
