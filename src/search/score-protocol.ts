/** What the main thread asks of a scoring thread. */
export type ScoreRequest =
  /** New queries; forgets the hits of the last. */
  | {
      kind: 'queries';
      /** // [queries, dimensions] */
      queries: Float32Array;
      k: number;
      /** Place of each row in the order that breaks ties // [rows]; without it, all ties are kept as far as they fit. */
      places: Uint32Array | undefined;
    }
  /** Scores some rows. */
  | { kind: 'chunk'; start: number; vectors: Float32Array; keep: boolean }
  /** Scores the rows that it was told to keep. */
  | { kind: 'kept' }
  /** Asks for the hits. */
  | { kind: 'take' };

/** One thread's hits of all queries, one query behind another. */
export interface ThreadHits {
  scores: Float32Array;
  /** Rows, or places where the queries came with places. */
  numbers: Uint32Array;
  /** Number of hits of each query // [queries] */
  counts: Uint32Array;
  /** Queries (1) that had more equal scores than fit: their hits are not to be trusted // [queries] */
  overflowed: Uint8Array;
}

export type ScoreReply =
  | { kind: 'done' }
  /** The thread is being closed. */
  | { kind: 'stopped' }
  | { kind: 'hits'; hits: ThreadHits }
  /** A row whose scores are no finite numbers. */
  | { kind: 'broken-row'; row: number }
  | { kind: 'failed'; reason: string };

export interface ScoreWorkerData {
  /** ONNX model: queries [queries, dimensions], corpus [rows, dimensions] → scores [queries, rows]. */
  model: Uint8Array;
  dimensions: number;
  cosine: boolean;
}
