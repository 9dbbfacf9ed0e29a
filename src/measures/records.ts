/** Relevance judgements: query id → document id → grade. A grade of 0 or below is judged not relevant. */
export type Qrels = Map<string, Map<string, number>>;

/** One retrieved document and its score; larger is better. */
export interface ScoredDocument {
  id: string;
  score: number;
  /** In a search by passages: the number of its best passage, from 0. */
  passage?: number | undefined;
}

/**
 * A run: query id → retrieved documents. As in trec_eval, only the scores matter, not the order. A `Map` is a run; searches
 * and readers return a `TypedRun`, which needs 8 to 12 bytes per hit.
 */
export type Run = ReadonlyMap<string, readonly ScoredDocument[]>;
