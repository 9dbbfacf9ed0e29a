import { evaluateRun, parseQualityMeasure, relevantSelves } from '../measures/index.ts';
import type { CorpusSearch } from '../retrieve/index.ts';
import { UsageError } from '../system/index.ts';
import type { Topics } from './topics.ts';

/** A point of a tuning: the measure on the development queries. */
export interface TuningPoint {
  alpha: number;
  value: number;
}

export interface TuneAlphaOptions {
  /** What searches; `dense` by default. */
  kind?: 'dense' | 'rrf' | undefined;
  /** Weights of the expansions to try, each from 0 to 1. */
  alphas: readonly number[];
  /** Such as nDCG@10. */
  measure: string;
  /** Documents searched for a measure without a cut-off, and before fusion. */
  depth: number;
  /** Keep a document whose id equals the query's. */
  keepSelf: boolean;
  signal?: AbortSignal | undefined;
}

export interface AlphaTuning {
  /** The best alpha; of equal ones the smallest, which trusts the expansions least. */
  alpha: number;
  /** By alpha, ascending. */
  points: TuningPoint[];
}

/**
 * Chooses the weight of the expansions on development queries. Each text is embedded once, and all alphas are searched in one
 * pass over the corpus, no deeper than the measure looks. The values are those that an evaluation under each alpha gives.
 *
 * @param topics development queries; tune on no query that is tested
 * @throws UsageError for no alphas, one outside 0 to 1, or a measure that does not tell a better search
 */
export async function tuneAlpha(search: CorpusSearch, topics: Topics, options: TuneAlphaOptions): Promise<AlphaTuning> {
  const { kind = 'dense', measure, depth, keepSelf, signal } = options;
  const alphas = [...new Set(options.alphas)].sort((a, b) => a - b);
  if (alphas.length === 0) throw new UsageError('there is no alpha to try', { fix: 'Give one or more from 0 to 1.' });
  const { cutoff, displayName } = parseQualityMeasure(measure);
  const runs = await search.alphaRuns(kind, alphas, topics.queries, {
    depth: kind === 'rrf' ? depth : Math.min(cutoff, depth),
    dropSelf: !keepSelf,
    keepSelfOf: relevantSelves(topics.qrels),
    signal,
  });
  const points = runs.map((run, at): TuningPoint => {
    const { mean } = evaluateRun(topics.qrels, run, { measures: [displayName], complete: true });
    return { alpha: alphas[at]!, value: mean[displayName] ?? 0 };
  });
  const best = points.reduce((one, other) => (other.value > one.value ? other : one));
  return { alpha: best.alpha, points };
}
