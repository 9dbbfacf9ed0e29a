import { DataError } from '../system/index.ts';
import { rankOrder } from './ranking.ts';
import type { ScoredDocument } from './records.ts';

/** What the measures need to know about one query: the ranks of its judged documents, and what there was to find. */
export interface JudgedRanking {
  /** Number of retrieved documents. */
  retrieved: number;
  /** Number of relevant documents among the judgements: grade >= relevance level. */
  relevant: number;
  /** Number of documents judged not relevant: 0 <= grade < relevance level. */
  notRelevant: number;
  /** 1-based ranks of the retrieved relevant documents, ascending. */
  relevantRanks: number[];
  /** 1-based ranks of the retrieved documents judged not relevant, ascending. */
  notRelevantRanks: number[];
  /** 1-based ranks of the retrieved documents with a grade above 0, ascending. */
  gainRanks: number[];
  /** The grades at those ranks. */
  gains: number[];
  /** All grades above 0 among the judgements, descending: the gains of the ideal ranking. */
  idealGains: number[];
  /** 1-based ranks of the retrieved documents that no query of the judgements judges, ascending. */
  holeRanks: ArrayLike<number>;
}

export interface JudgingOptions {
  /** Query id for error messages. */
  query: string;
  /** Lowest grade that counts as relevant. */
  relevanceLevel: number;
  /** Every document judged for any query; needed only for Hole. */
  pool?: ReadonlySet<string> | undefined;
}

/**
 * Ranks the hits as trec_eval does and looks up their judgements, once for all measures. A grade below 0 means "in the
 * pool but not judged", as in trec_eval: such a document counts as neither relevant nor not relevant.
 * @throws DataError for a document that is listed twice, a score that is not a number, or a grade that is not an integer
 */
export function judgeRanking(
  hits: readonly ScoredDocument[],
  judgements: ReadonlyMap<string, number>,
  { query, relevanceLevel, pool }: JudgingOptions,
): JudgedRanking {
  const ranking = countJudgements(judgements, relevanceLevel, query);
  ranking.retrieved = hits.length;
  const places = placesById(hits, query);
  const order = rankOrder(hits, query);
  const ranks = ranksByPlace(order);
  const gradesByRank = new Float64Array(hits.length + 1).fill(-1);
  for (const [document, grade] of judgements) {
    const place = places.get(document);
    if (place !== undefined) gradesByRank[ranks === undefined ? place + 1 : ranks[place]!] = grade;
  }
  for (let rank = 1; rank <= hits.length; rank++) {
    if (gradesByRank[rank]! >= 0) placeJudged(ranking, rank, gradesByRank[rank]!, relevanceLevel);
  }
  if (pool !== undefined) ranking.holeRanks = findHoles(hits, order, pool);
  return ranking;
}

function placeJudged(ranking: JudgedRanking, rank: number, grade: number, relevanceLevel: number): void {
  (grade >= relevanceLevel ? ranking.relevantRanks : ranking.notRelevantRanks).push(rank);
  if (grade > 0) {
    ranking.gainRanks.push(rank);
    ranking.gains.push(grade);
  }
}

/**
 * Returns the position of each document in the list. It has two uses: to refuse a document that is listed twice (it
 * would count twice and could raise nDCG above 1), and to look up the few judgements in the many hits.
 */
function placesById(hits: readonly ScoredDocument[], query: string): Map<string, number> {
  const places = new Map<string, number>();
  for (let place = 0; place < hits.length; place++) {
    places.set(hits[place]!.id, place);
    if (places.size <= place) {
      throw new DataError(`the run lists document ${JSON.stringify(hits[place]!.id)} twice`, {
        id: query,
        fix: 'Keep one line for each document of a query.',
      });
    }
  }
  return places;
}

/** Converts an order (position by rank) into 1-based ranks by position; undefined means that the hits are in order. */
function ranksByPlace(order: Int32Array | undefined): Int32Array | undefined {
  if (order === undefined) return undefined;
  const ranks = new Int32Array(order.length);
  for (let rank = 0; rank < order.length; rank++) ranks[order[rank]!] = rank + 1;
  return ranks;
}

function findHoles(
  hits: readonly ScoredDocument[],
  order: Int32Array | undefined,
  pool: ReadonlySet<string>,
): Int32Array {
  const holes = new Int32Array(hits.length);
  let found = 0;
  for (let rank = 1; rank <= hits.length; rank++) {
    const { id } = hits[order === undefined ? rank - 1 : order[rank - 1]!]!;
    if (!pool.has(id)) holes[found++] = rank;
  }
  return holes.subarray(0, found);
}

function countJudgements(
  judgements: ReadonlyMap<string, number>,
  relevanceLevel: number,
  query: string,
): JudgedRanking {
  let relevant = 0;
  let notRelevant = 0;
  const idealGains: number[] = [];
  for (const [document, grade] of judgements) {
    if (!Number.isSafeInteger(grade)) throw notWhole(document, grade, query);
    if (grade >= relevanceLevel) relevant++;
    else if (grade >= 0) notRelevant++;
    if (grade > 0) idealGains.push(grade);
  }
  idealGains.sort((a, b) => b - a);
  const unranked = { retrieved: 0, relevantRanks: [], notRelevantRanks: [], gainRanks: [], gains: [], holeRanks: [] };
  return { relevant, notRelevant, idealGains, ...unranked };
}

function notWhole(document: string, grade: number, query: string): DataError {
  return new DataError(`the grade of document ${JSON.stringify(document)} is ${grade}, not an integer`, {
    id: query,
    fix: 'Scale the judgements: trec_eval supports only integer grades.',
  });
}
