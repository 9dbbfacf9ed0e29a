import {
  DocumentNumbers,
  type HitList,
  Hits,
  type Run,
  rankHits,
  type ScoredDocument,
  TypedRun,
} from '../measures/index.ts';
import { DataError, UsageError } from '../system/index.ts';

/**
 * How runs are fused. `rrf`: reciprocal rank (Cormack, Clarke and Büttcher 2009), the sum over the runs of 1 / (k + rank). `minmax`:
 * the mean of scores normalised to 0 to 1 over each query's hits of a run (Pyserini's "normalize"; a run whose scores are all
 * equal gives 1 to each).
 */
export const FUSIONS = ['rrf', 'minmax'] as const;
export type FusionName = (typeof FUSIONS)[number];

export interface FusionOptions {
  /** Default `rrf`. */
  fusion?: FusionName | undefined;
  /** `rrf`: the constant added to each rank. Default 60. */
  k?: number | undefined;
  /** Weight of each run; only their proportions matter. Default: equal // [runs] */
  weights?: readonly number[] | undefined;
  /** Number of hits per run to use, and of hits to keep. Default: all. */
  depth?: number | undefined;
}

/**
 * Fuses runs: a document's score is the weighted sum of what each run gives it; see {@link FUSIONS}. A run without a
 * document adds nothing for it. Ranks begin at 1 and follow trec_eval's order: score as a 32-bit float, descending, equal ones
 * by document id, descending; so two documents never share a rank. The result holds every query of any run.
 * @throws DataError for a document that a run lists twice for a query, or a score that is not a number
 * @throws UsageError for a negative k, a depth below 1, or weights that are not one number of at least 0 per run
 */
export function fuseRuns(runs: readonly Run[], options: FusionOptions = {}): Run {
  const { fusion = 'rrf', k = 60, depth = Number.POSITIVE_INFINITY } = options;
  if (!(k >= 0)) throw new UsageError(`k is ${k}`, { fix: 'Pass a number of at least 0; the default is 60.' });
  if (!(depth >= 1)) throw new UsageError(`the depth is ${depth}`, { fix: 'Pass at least 1.' });
  // With equal weights, reciprocal ranks are summed and normalised scores averaged, as published.
  const weights = scaledWeights(runs, options.weights, fusion === 'rrf' ? runs.length : 1);
  const give = fusion === 'rrf' ? (hits: ScoredDocument[]) => reciprocalRanks(hits.length, k) : normalizedScores;
  const queries = new Set(runs.flatMap((run) => [...run.keys()]));
  const documents = new DocumentNumbers();
  const lists: HitList[] = [];
  for (const query of queries) {
    const scores = new Map<string, number>();
    for (const [at, run] of runs.entries()) addRun(scores, run, query, { give, depth, weight: weights[at]! });
    const hits = rankHits(Array.from(scores, ([id, score]) => ({ id, score }))).slice(0, depth);
    lists.push({
      numbers: Uint32Array.from(hits, ({ id }) => documents.number(id)),
      scores: Float64Array.from(hits, ({ score }) => score),
    });
  }
  return new TypedRun(queries, new Hits(lists, (number) => documents.id(number)));
}

/** What a run gives to each of its hits, best first. */
type Give = (hits: ScoredDocument[]) => Float64Array;

/** Adds what one run gives to the documents of a query. */
function addRun(
  scores: Map<string, number>,
  run: Run,
  query: string,
  { give, depth, weight }: { give: Give; depth: number; weight: number },
): void {
  const hits = run.get(query) ?? [];
  refuseBrokenHits(hits, query);
  const ranked = rankHits(hits).slice(0, depth);
  const given = give(ranked);
  for (const [at, { id }] of ranked.entries()) scores.set(id, (scores.get(id) ?? 0) + weight * given[at]!);
}

function reciprocalRanks(count: number, k: number): Float64Array {
  return Float64Array.from({ length: count }, (_nothing, at) => 1 / (k + at + 1));
}

/** @throws DataError for scores that are not finite */
function normalizedScores(hits: ScoredDocument[]): Float64Array {
  const scores = Float64Array.from(hits, ({ score }) => score);
  const low = scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY);
  const range = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY) - low;
  if (hits.length > 0 && !Number.isFinite(range)) {
    throw new DataError('infinite scores cannot be normalised', { fix: 'Create the run again, or fuse by rank.' });
  }
  return scores.map((score) => (range === 0 ? 1 : (score - low) / range));
}

/** Returns weights with this sum // [runs] */
function scaledWeights(runs: readonly Run[], weights: readonly number[] | undefined, total: number): number[] {
  const given = weights ?? runs.map(() => 1);
  const sum = given.reduce((partial, weight) => partial + weight, 0);
  const areValid = given.length === runs.length && given.every((weight) => weight >= 0) && Number.isFinite(sum);
  if (!areValid || (sum === 0 && runs.length > 0)) {
    throw new UsageError(`the weights ${JSON.stringify(given)} do not fit ${runs.length} runs`, {
      fix: 'Pass one number of at least 0 for each run, and not only zeros.',
    });
  }
  return given.map((weight) => (weight * total) / sum);
}

function refuseBrokenHits(hits: readonly ScoredDocument[], query: string): void {
  const seen = new Set<string>();
  for (const { id, score } of hits) {
    if (Number.isNaN(score)) throw brokenHit(`the score of document ${JSON.stringify(id)} is not a number`, query);
    if (seen.has(id)) throw brokenHit(`document ${JSON.stringify(id)} stands twice among its hits`, query);
    seen.add(id);
  }
}

function brokenHit(what: string, query: string): DataError {
  return new DataError(what, { id: query, fix: 'Create the run again, or remove the line.' });
}
