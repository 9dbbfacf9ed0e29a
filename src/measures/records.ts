/** Relevance judgements: query id → document id → grade. A grade of 0 or below is judged not relevant. */
export type Qrels = Map<string, Map<string, number>>;

/** One retrieved document and its score; larger is better. */
export interface ScoredDocument {
  id: string;
  score: number;
}

/**
 * A run: query id → retrieved documents. Their order carries no meaning; the scores do (as in trec_eval). A `Map` is one; what
 * searches and readers give is a `TypedRun`, which holds a hit in 8 to 12 bytes.
 */
export type Run = ReadonlyMap<string, readonly ScoredDocument[]>;
