import type { HitList } from '../../measures/index.ts';

/** What a table or collection holds, recorded beside it. Other rows are never mixed into it. */
export interface EngineContent {
  /** The content key of the rows: of corpus, and of encoder and text form, or of analyzer and settings of BM25. */
  key: string;
  /** Of dense vectors; for `bm25` one more than the number of terms. */
  dimensions: number;
  /** `cosine`: vectors are stored with length 1. `bm25`: a row is the weighted terms of a document, not a dense vector. */
  similarity: 'dot' | 'cosine' | 'bm25';
  format: 'f32' | 'f16';
  /** Number of documents. */
  rows: number;
}

/** Parameters of an HNSW graph (arXiv 1603.09320). */
export interface HnswSettings {
  /** Neighbours of a node in each layer. */
  m: number;
  /** Size of the candidate list while building. */
  efConstruction: number;
  /** Size of the candidate list of a search; at least the number of documents asked for. */
  ef: number;
}

/** Documents to load, in ascending order of their rows. */
export interface EngineRows<V> {
  /** // [rows] */
  rows: number[];
  ids: string[];
  /** One a row. */
  vectors: V;
}

/**
 * A table or collection of documents on a server: dense vectors (`V` is a row-major matrix, Float32Array) or weighted terms (SparseRows).
 * A document's row in the corpus is its key, so whatever is loaded twice is there once. A call that loses its connection throws
 * ConnectionError and may be repeated.
 */
export interface Engine<V> {
  /** Its kind, as a message names it: `PostgreSQL`. */
  readonly name: string;
  /** What is searched, as a message names it: `table "llm_qe_1"`. */
  readonly place: string;
  /** Maximum number of queries in one call. */
  readonly queriesPerCall: number;
  /** Maximum number of documents that a query can ask for. */
  readonly mostHits: number;
  /** Maximum number of rows in one answer of `heldBetween`. */
  readonly rowsPerAnswer: number;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
  /** Creates the table or collection, or checks that it holds this content. @returns the number of documents it holds */
  open(): Promise<number>;
  count(): Promise<number>;
  /** Returns the rows that it holds from one up to, not including, another. */
  heldBetween(from: number, to: number): Promise<number[]>;
  load(documents: EngineRows<V>): Promise<void>;
  /** Makes everything that was loaded searchable, and builds the graph of an HNSW search. */
  finish(): Promise<void>;
  /** Returns the best documents of each query in any order, `k` or some more: rows and inner products. */
  search(queries: V, k: number): Promise<HitList[]>;
  close(): Promise<void>;
}
