export { ANALYZERS, ANALYZERS_FORMAT, type AnalyzerName } from './bm25/analyzers.ts';
export { BM25_CACHE, type Bm25BuildOptions, Bm25Index, type Bm25OpenOptions } from './bm25/bm25-index.ts';
export type { DocumentTerms } from './bm25/document-terms.ts';
export { analyzeEnglish } from './bm25/english-analyzer.ts';
export { BM25_FIELDS, type Bm25Fields } from './bm25/field-texts.ts';
export type { InvertedLists } from './bm25/inverted-lists.ts';
export { readListsFrom } from './bm25/inverted-lists-file.ts';
export { ANSERINI_BM25, type Bm25Settings } from './bm25/lucene-bm25.ts';
export type { ListSegment } from './bm25/merge-lists.ts';
export {
  countRepeats,
  parseQueryRepeats,
  QUERY_REPEATS_IN_WORDS,
  type QueryRepeats,
  repeatQuery,
} from './bm25/query-text.ts';
export { type SegmentListsOptions, writeMergedLists, writeSegmentLists } from './bm25/segment-lists.ts';
export type { LexicalQuery, WeightedTerms } from './bm25/term-queries.ts';
export type { TermShare } from './bm25/term-shares.ts';
export { COMPACT_CACHE, type CompactOptions, CompactVectors } from './dense/compact-vectors.ts';
export { ExactIndex, type ExactIndexOptions } from './dense/exact-index.ts';
export { JoinedVectors, type VectorPart } from './dense/joined-vectors.ts';
export { type CombineOptions, combineQueryVectors } from './dense/query-vectors.ts';
export { VECTOR_FORMATS, type VectorFormat } from './dense/vector-format.ts';
export { MemoryVectors, type VectorChunk, type VectorSource } from './dense/vector-source.ts';
export { isEngineAddress, parseEngineAddress } from './engines/engine-address.ts';
export { EngineBm25, type LexicalIndex, type OpenBm25EngineOptions } from './engines/engine-bm25.ts';
export { type OpenEngineOptions, openEngine } from './engines/open-engine.ts';
export type { FeedbackSettings } from './feedback/feedback.ts';
export { TERM_FEEDBACK, type TermFeedbackName } from './feedback/term-feedback.ts';
export { FUSIONS, type FusionName, type FusionOptions, fuseRuns } from './fusion.ts';
export { HNSW_CACHE, HnswIndex, type HnswOptions } from './hnsw/hnsw-index.ts';
export { JoinedIndex, type JoinedPart } from './joined-index.ts';
export { PassageIndex, type PassageIndexOptions } from './passage-index.ts';
export { RecallChecked, type RecallOptions } from './recall.ts';
export type { SearchIndex, SearchOptions } from './search-index.ts';
export { TopScores } from './top-scores.ts';
