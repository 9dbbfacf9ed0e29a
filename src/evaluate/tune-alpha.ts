import type { CorpusSearch } from '../retrieve/index.ts';
import { UsageError } from '../system/index.ts';
import { meanOf, valuesOfCombinations } from './combination-values.ts';
import type { Topics } from './topics.ts';

/** One tried alpha, and the measure on the development queries. */
export interface TuningPoint {
  alpha: number;
  value: number;
}

export interface TuneAlphaOptions {
  /** Search method; `dense` by default. */
  kind?: 'dense' | 'rrf' | undefined;
  /** Weights of the expansions to try, each from 0 to 1. */
  alphas: readonly number[];
  /** A measure, such as nDCG@10. */
  measure: string;
  /** Documents to retrieve for a measure without a cutoff, and before fusion. */
  depth: number;
  /** Keep documents with the same id as the query. */
  keepSelf: boolean;
  signal?: AbortSignal | undefined;
}

export interface AlphaTuning {
  /** The best alpha. Among equally good ones, it is the smallest, which trusts the expansions least. */
  alpha: number;
  /** All tried alphas, ascending. */
  points: TuningPoint[];
}

/**
 * Chooses the weight of the expansions on development queries. Each text is embedded once, and all alphas are searched in one
 * pass over the corpus, to the depth of the measure's cutoff. The values equal those of a separate evaluation per alpha.
 *
 * @param topics development queries; never tune on test queries
 * @throws UsageError for no alphas, one outside 0 to 1, or a measure that cannot rank searches by quality
 */
export async function tuneAlpha(search: CorpusSearch, topics: Topics, options: TuneAlphaOptions): Promise<AlphaTuning> {
  const { kind = 'dense', measure, depth, keepSelf, signal } = options;
  const alphas = [...new Set(options.alphas)].sort((a, b) => a - b);
  if (alphas.length === 0) {
    throw new UsageError('no alpha to choose from', { fix: 'Pass at least one value from 0 to 1.' });
  }
  const values = await valuesOfCombinations(
    search,
    topics,
    alphas.map((alpha) => ({ alpha })),
    { kind, measure, depth, keepSelf, signal },
  );
  const points = alphas.map((alpha, at): TuningPoint => ({ alpha, value: meanOf(values[at]!, topics.qrels.keys()) }));
  const best = points.reduce((one, other) => (other.value > one.value ? other : one));
  return { alpha: best.alpha, points };
}
