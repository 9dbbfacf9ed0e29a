import { VECTOR_CACHE } from '../embed/index.ts';
import { ANALYZERS_FORMAT, BM25_CACHE } from '../search/index.ts';

/** Increase it when the same corpus, queries and settings would give another run for a reason that no other format covers. */
const RETRIEVAL_FORMAT = 1;

/**
 * The versions of all code that determines a run: retrievers, document vectors, BM25 and its analyzers. They belong in the
 * key of everything that is computed from runs and kept.
 */
export const SEARCH_FORMATS: Readonly<Record<string, string | number | undefined>> = {
  retrieval: RETRIEVAL_FORMAT,
  vectors: VECTOR_CACHE.format,
  bm25: BM25_CACHE.format,
  analyzers: ANALYZERS_FORMAT,
};
