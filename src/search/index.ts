export { BM25_CACHE, type Bm25BuildOptions, Bm25Index, type Bm25OpenOptions } from './bm25-index.ts';
export { analyzeEnglish } from './english-analyzer.ts';
export { ExactIndex, type ExactIndexOptions } from './exact-index.ts';
export { type FusionOptions, fuseRuns } from './fusion.ts';
export { ANSERINI_BM25, type Bm25Settings } from './lucene-bm25.ts';
export { repeatQuery } from './query-text.ts';
export { type CombineOptions, combineQueryVectors } from './query-vectors.ts';
export type { SearchIndex, SearchOptions } from './search-index.ts';
export { MemoryVectors, type VectorChunk, type VectorSource } from './vector-source.ts';
