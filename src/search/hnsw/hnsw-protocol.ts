/** What a graph is made with; a file of other settings is another file. */
export interface GraphSettings {
  dimensions: number;
  /** How the graph stores vectors. */
  format: 'f32' | 'f16';
  m: number;
  efConstruction: number;
  ef: number;
  threads: number;
}

/** Requests of the main thread to the thread of a graph. */
export type GraphRequest =
  /** Adds consecutive documents. */
  | { kind: 'add'; start: number; vectors: Float32Array }
  /** Reads a graph into memory, to add more. */
  | { kind: 'load'; file: string }
  /** Maps the file of a graph, to search it. */
  | { kind: 'view'; file: string }
  | { kind: 'save'; file: string }
  | { kind: 'search'; queries: Float32Array; k: number };

export type GraphReply =
  /** `size`: number of documents in the graph. */
  | { kind: 'done'; size: number }
  | {
      kind: 'hits';
      /** Rows of all queries, one after another. */
      numbers: Uint32Array;
      /** Inner products. */
      scores: Float32Array;
      /** Number of hits of each query // [queries] */
      counts: Uint32Array;
    };
