import { combinationInWords, readTunedFile, type Topics, type TunedData } from '../evaluate/index.ts';
import { type ChosenCombination, combinationOf } from '../retrieve/index.ts';
import { counted, UsageError } from '../system/index.ts';

export interface CombinationChoice {
  combination: ChosenCombination;
  tuned: TunedData | undefined;
}

type Given = Parameters<typeof combinationOf>[1] & {
  expansions?: string | undefined;
  queries?: string | undefined;
  tuned?: string | undefined;
  alphas?: readonly number[] | undefined;
};

/**
 * Decides how expansions are combined: as `--tuned` says, otherwise as {@link combinationOf} does.
 * @throws UsageError if the user also gives a part of it; DataError for a broken file
 */
export async function chooseCombination(given: Given): Promise<CombinationChoice> {
  const { expansions, queries, tuned: file } = given;
  const combination = await combinationOf(expansions ?? queries, given);
  if (file === undefined) return { combination, tuned: undefined };
  const { alpha, queryRepeats, alphas } = given;
  const options = { '--alpha': alpha, '--query-repeats': queryRepeats, '--alphas': alphas };
  const other = Object.entries(options).find(([, value]) => value !== undefined);
  if (other !== undefined) {
    throw new UsageError(`--tuned and ${other[0]} both say how expansions are combined`, {
      fix: 'Pass one of the two.',
    });
  }
  if (expansions === undefined && queries === undefined) {
    throw new UsageError('--tuned combines expansions, and there are none', { fix: 'Add --expansions FILE.' });
  }
  const tuned = await readTunedFile(file);
  const { best } = tuned;
  return {
    combination: {
      ...combination,
      ...(best.alpha !== undefined && { alpha: best.alpha }),
      ...(best.queryRepeats !== undefined && { queryRepeats: best.queryRepeats }),
    },
    tuned,
  };
}

/** Keeps as many expansions of each query as the tuned combination uses. */
export function withTunedTexts(topics: Topics, tuned: TunedData | undefined): Topics {
  if (tuned === undefined) return topics;
  const { texts } = tuned.best;
  const queries = topics.queries.map((query) => ({ ...query, expansions: query.expansions.slice(0, texts) }));
  return { ...topics, queries };
}

/** Says that no expansion is used, if raw queries were the best. */
export function describeIdleExpansions(tuned: TunedData | undefined, file: string | undefined): string | undefined {
  if (tuned === undefined || file === undefined || tuned.best.texts > 0) return undefined;
  const { dataset, split, queries } = tuned;
  return `${file} chose raw queries (${dataset}, split ${split}, ${counted(queries, 'query')}): the expansions are not used`;
}

/** One sentence on a tuned combination. */
export function describeTuned({ best, dataset, split, queries }: TunedData): string {
  return `Queries and expansions are combined as it was best for ${counted(queries, 'query')} of split ${split} of ${dataset}: ${combinationInWords(best)}.`;
}
