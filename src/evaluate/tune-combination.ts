import { z } from 'zod';
import { compareValues } from '../measures/index.ts';
import type { CorpusSearch, TriedCombination } from '../retrieve/index.ts';
import { UsageError } from '../system/index.ts';
import { type CombinationValuesOptions, meanOf, valuesOfCombinations } from './combination-values.ts';
import { type Comparison, toComparison } from './comparison.ts';
import { bestOf, crossValidate } from './cross-validate.ts';
import type { Topics } from './topics.ts';

/** A combination of queries and expansions. Without expansions (`texts` 0), queries are searched as they are. */
export const tunedCombinationSchema = z.strictObject({
  /** Weight of the expansions in a dense search; missing for a lexical one. */
  alpha: z.number().min(0).max(1).optional(),
  /** Number of expansions to use, from the first. */
  texts: z.int().nonnegative(),
  /** How often a lexical search repeats the query; missing for a dense one. */
  queryRepeats: z.int().positive().optional(),
});
export type TunedCombination = z.output<typeof tunedCombinationSchema>;

/** The measure of a tried combination, as a mean over the development queries. */
export type TunedPoint = TunedCombination & { value: number };

export interface TuneOptions extends CombinationValuesOptions {
  /** Weights to try; a lexical search ignores them. */
  alphas: readonly number[];
  /** Numbers of expansions to try, each at least 1. */
  texts: readonly number[];
  /** Numbers of repeats of the query to try; a dense search ignores them. */
  queryRepeats: readonly number[];
  /** Seed of the cross-validation and of the tests. */
  seed: number;
}

export interface Tuning {
  best: TunedPoint;
  /** The measure of raw queries. */
  raw: number;
  /** All tried combinations, those first that trust the expansions least; the raw queries are the first. */
  points: TunedPoint[];
  /** The best combination against raw queries, on the queries it was chosen on: better than new queries will show. */
  inSample: Comparison;
  /** Each query under the combination that is best for the other parts, against raw queries: what new queries may show. */
  crossValidated: Comparison;
  /** The combinations that the parts chose. */
  chosenByParts: TunedCombination[];
}

/**
 * Chooses how queries and expansions are combined, on development queries: the weight alpha, the number of expansions, and the repeats
 * of a lexical query. Among equally good combinations it takes the one that trusts the expansions least: the smallest alpha, then the
 * fewest expansions, then the most repeats. Raw queries are always among the choices.
 *
 * @param topics development queries; never tune on test queries
 * @throws UsageError for nothing to try, invalid values, a single query, or a measure that cannot rank searches by quality
 */
export async function tuneCombination(search: CorpusSearch, topics: Topics, options: TuneOptions): Promise<Tuning> {
  const { measure, seed } = options;
  const tried = combinationsToTry(options);
  const ids = [...topics.qrels.keys()];
  const values = await valuesOfCombinations(search, topics, tried.map(toTried), options);
  const points = tried.map((one, at): TunedPoint => ({ ...one, value: meanOf(values[at]!, ids) }));
  const best = bestOf(points.map(({ value }) => value));
  const byParts = crossValidate(ids, [...tried.keys()], values, seed);
  const measureOf = (id: string, at: number) => values[at]!.get(id) ?? 0;
  const against = (arm: string, placeOf: (id: string) => number) => {
    const [raw, tuned] = [ids.map((id) => measureOf(id, 0)), ids.map((id) => measureOf(id, placeOf(id)))];
    return toComparison({ arm, baseline: 'raw', measure }, compareValues(raw, tuned, { seed }));
  };
  return {
    ...{ best: points[best]!, raw: points[0]!.value, points },
    inSample: against('tuned', () => best),
    crossValidated: against('cross-validated', (id) => byParts.get(id)!),
    chosenByParts: [...new Set(byParts.values())].sort((a, b) => a - b).map((at) => tried[at]!),
  };
}

/** All combinations, those first that trust the expansions least. */
function combinationsToTry({ kind, alphas, texts, queryRepeats }: TuneOptions): TunedCombination[] {
  const isDense = kind !== 'bm25';
  const isLexical = kind !== 'dense';
  const weights = isDense ? ascending(alphas).filter((alpha) => alpha !== 0) : [undefined];
  const repeats = isLexical ? ascending(queryRepeats).reverse() : [undefined];
  const counts = ascending(texts);
  if (counts.some((count) => !Number.isSafeInteger(count) || count < 1) || counts.length * repeats.length === 0) {
    throw new UsageError('there is nothing to tune, or a number of expansions is not a whole number of at least 1', {
      fix: 'Pass at least one alpha, one number of expansions and one number of repeats.',
    });
  }
  const raw: TunedCombination = { ...(isDense && { alpha: 0 }), texts: 0 };
  const all = weights.flatMap((alpha) =>
    counts.flatMap((count) =>
      repeats.map(
        (times): TunedCombination => ({
          ...(alpha !== undefined && { alpha }),
          texts: count,
          ...(times !== undefined && { queryRepeats: times }),
        }),
      ),
    ),
  );
  return [raw, ...all];
}

function toTried({ alpha = 0, ...rest }: TunedCombination): TriedCombination {
  return { alpha, ...rest };
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** Describes a combination: `alpha 0.3, 2 expansions`. */
export function combinationInWords({ alpha, texts, queryRepeats }: TunedCombination): string {
  if (texts === 0) return 'raw queries, not expanded';
  const parts = [
    alpha !== undefined && `alpha ${alpha}`,
    `${texts} ${texts === 1 ? 'expansion' : 'expansions'}`,
    queryRepeats !== undefined && `query repeats ${queryRepeats}`,
  ];
  return parts.filter((part) => part !== false).join(', ');
}
