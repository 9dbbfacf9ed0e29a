import { evaluateRun, parseQualityMeasure, relevantSelves } from '../measures/index.ts';
import type { CorpusSearch, Retriever, TriedCombination } from '../retrieve/index.ts';
import type { Topics } from './topics.ts';

export interface CombinationValuesOptions {
  kind: Retriever['name'];
  /** A measure, such as nDCG@10. */
  measure: string;
  /** Documents to retrieve for a measure without a cutoff, and before fusion. */
  depth: number;
  /** Keep documents with the same id as the query. */
  keepSelf: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Returns the measure of each query under each combination, by one embedding of each text and one dense pass over the corpus, to the
 * depth of the measure's cutoff. The values equal those of a separate evaluation per combination.
 * @returns // [combinations]
 * @throws UsageError for an alpha outside 0 to 1, or a measure that cannot rank searches by quality
 */
export async function valuesOfCombinations(
  search: CorpusSearch,
  { queries, qrels }: Topics,
  combinations: readonly TriedCombination[],
  { kind, measure, depth, keepSelf, signal }: CombinationValuesOptions,
): Promise<Map<string, number>[]> {
  const { cutoff, displayName } = parseQualityMeasure(measure);
  const runs = await search.combinedRuns(kind, combinations, queries, {
    depth: kind === 'rrf' ? depth : Math.min(cutoff, depth),
    ...{ dropSelf: !keepSelf, keepSelfOf: relevantSelves(qrels), signal },
  });
  return runs.map((run) => {
    const { perQuery } = evaluateRun(qrels, run, { measures: [displayName], complete: true });
    return new Map([...perQuery].map(([id, values]) => [id, values[displayName] ?? 0]));
  });
}

/** Returns the mean over these queries; one without a value counts as 0. */
export function meanOf(values: ReadonlyMap<string, number>, ids: Iterable<string>): number {
  let [sum, count] = [0, 0];
  for (const id of ids) {
    sum += values.get(id) ?? 0;
    count++;
  }
  return sum / Math.max(1, count);
}
