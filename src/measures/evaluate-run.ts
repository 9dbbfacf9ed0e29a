import { DataError, UsageError } from '../system/index.ts';
import { judgeRanking } from './judged-ranking.ts';
import { ALL_MEASURES, type Measure, parseMeasure } from './measure.ts';
import type { Qrels, Run } from './records.ts';

export interface EvaluationOptions {
  /** Names of measures, trec_eval's or those of tables; by default all, at the usual cutoffs. */
  measures?: readonly string[] | undefined;
  /**
   * false (trec_eval's default): averages are over the queries that are in both the run and the judgements. true
   * (trec_eval's -c): averages are over all judged queries; one that the run lacks adds 0 to every measure.
   */
  complete?: boolean | undefined;
  /** Lowest grade that counts as relevant (trec_eval's -l); 1 by default. nDCG uses the grades and ignores it. */
  relevanceLevel?: number | undefined;
}

/** Increase it when the same run and judgements would give other numbers than before. */
export const MEASURES_FORMAT = 1;

/** The scores of a run. The values are under the names of the measures as they were requested. */
export interface RunEvaluation {
  /** Values by id, for each query that is in both the run and the judgements. */
  perQuery: Map<string, Record<string, number>>;
  /** Means over `queries` queries; for the counts (`num_...`) sums. */
  mean: Record<string, number>;
  /** Number of queries that the means are over. */
  queries: number;
  /** Judged queries that the run lacks; they count as 0 if `complete` is true, and not at all otherwise. */
  missing: string[];
  /** Queries of the run without judgements; they never count. */
  unjudged: string[];
  complete: boolean;
}

/**
 * Scores a run against judgements as trec_eval 9 does; see docs/measures.md for the rules.
 * A query with an empty ranking is in the run and scores 0; a judged query without relevant documents scores 0 too.
 * @throws DataError if there is nothing to average, a document is listed twice, or a score or grade is invalid
 * @throws UsageError for an unknown measure
 */
export function evaluateRun(qrels: Qrels, run: Run, options: EvaluationOptions = {}): RunEvaluation {
  const { measures: names = ALL_MEASURES, complete = false, relevanceLevel = 1 } = options;
  if (!Number.isSafeInteger(relevanceLevel) || relevanceLevel < 1) {
    throw new UsageError(`the relevance level is ${relevanceLevel}`, { fix: 'Pass an integer of at least 1.' });
  }
  const measures = names.map(parseMeasure);
  const pool = measures.some(({ needsPool }) => needsPool) ? judgedDocuments(qrels) : undefined;
  const blank = blankRow(names);
  const perQuery = new Map<string, Record<string, number>>();
  const unjudged: string[] = [];
  for (const [query, hits] of run) {
    const judgements = qrels.get(query);
    if (judgements === undefined || judgements.size === 0) {
      unjudged.push(query);
      continue;
    }
    const ranking = judgeRanking(hits, judgements, { query, relevanceLevel, pool });
    const row = { ...blank };
    for (let m = 0; m < measures.length; m++) row[names[m]!] = measures[m]!.formula(ranking, measures[m]!.cutoff);
    perQuery.set(query, row);
  }
  const missing = [...qrels]
    .filter(([query, judged]) => judged.size > 0 && !perQuery.has(query))
    .map(([query]) => query);
  const queries = perQuery.size + (complete ? missing.length : 0);
  if (queries === 0) throw nothingToAverage(missing.length);
  return { perQuery, mean: summarise(perQuery, names, measures, queries), queries, missing, unjudged, complete };
}

function judgedDocuments(qrels: Qrels): Set<string> {
  const pool = new Set<string>();
  for (const judgements of qrels.values()) for (const document of judgements.keys()) pool.add(document);
  return pool;
}

/** An object that is parsed from JSON has a fixed layout, even with many keys: copying and filling it is fast. */
function blankRow(names: readonly string[]): Record<string, number> {
  return JSON.parse(JSON.stringify(Object.fromEntries(names.map((name) => [name, 0.5])))) as Record<string, number>;
}

function summarise(
  perQuery: RunEvaluation['perQuery'],
  names: readonly string[],
  measures: readonly Measure[],
  queries: number,
): Record<string, number> {
  const mean: Record<string, number> = {};
  names.forEach((name, m) => {
    let sum = 0;
    for (const row of perQuery.values()) sum += row[name]!;
    mean[name] = measures[m]!.summed ? sum : sum / queries;
    // A missing query is counted by num_q, and adds 0 to every other count, as under trec_eval's -c.
    if (measures[m]!.trecName === 'num_q') mean[name] = queries;
  });
  return mean;
}

function nothingToAverage(judged: number): DataError {
  return judged === 0
    ? new DataError('the judgements are empty', { fix: 'Check the qrels file and the split.' })
    : new DataError('no query of the run is judged', {
        fix: 'Check that run and qrels belong to the same data set and split; their query ids must be equal.',
      });
}
