import type { Document } from '../data/index.ts';
import type { IndexSnapshot } from '../segments/index.ts';

/** A corpus that can be read more than once. */
export interface Corpus {
  documents(signal?: AbortSignal): AsyncIterable<Document>;
  /** Number of documents, for progress. */
  count(signal?: AbortSignal): Promise<number>;
  /** SHA-256 of its content. */
  corpusHash(signal?: AbortSignal): Promise<string>;
  /** Vectors and BM25 lists that it brings along. */
  readonly held?: HeldIndexes | undefined;
  /** Returns documents by id; without it, the corpus is read. */
  lookUp?(ids: Iterable<string>): Promise<Map<string, Document>>;
  close?(): Promise<void>;
}

/** What an index folder holds; see `IndexSnapshot`. */
export type HeldIndexes = Pick<IndexSnapshot, 'vectors' | 'lexical' | 'passages' | 'folder'>;
