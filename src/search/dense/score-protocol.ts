import type { VectorNumbers } from './vector-format.ts';

/** Requests of the main thread to a scoring thread. */
export type ScoreRequest =
  /** New queries; discards the previous hits. */
  | {
      kind: 'queries';
      /** // [queries, dimensions] */
      queries: Float32Array;
      k: number;
      /** Position of each row in the order that breaks ties // [rows]; without it, all ties that fit are kept. */
      places: Uint32Array | undefined;
    }
  /** Scores some rows. */
  | { kind: 'chunk'; start: number; vectors: VectorNumbers; scales?: Float32Array | undefined; keep: boolean }
  /** Scores the rows that the thread keeps. */
  | { kind: 'kept' }
  /** Requests the hits. */
  | { kind: 'take' };

/** One thread's hits of all queries, in the order of the queries. */
export interface ThreadHits {
  scores: Float32Array;
  /** Rows, or positions if the queries came with positions. */
  numbers: Uint32Array;
  /** Number of hits of each query // [queries] */
  counts: Uint32Array;
  /** 1 for queries with more equal scores than fit: their hits are unreliable // [queries] */
  overflowed: Uint8Array;
}

export type ScoreReply =
  | { kind: 'done' }
  /** The thread is being closed. */
  | { kind: 'stopped' }
  | { kind: 'hits'; hits: ThreadHits }
  /** A row whose scores are not finite numbers. */
  | { kind: 'broken-row'; row: number }
  | { kind: 'failed'; reason: string };

export interface ScoreWorkerData {
  /** ONNX model: queries [queries, dimensions], corpus [rows, dimensions], scales [rows] of int8 → scores [queries, rows]. */
  model: Uint8Array;
  dimensions: number;
  cosine: boolean;
}
