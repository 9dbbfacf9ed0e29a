export {
  type ChosenCombination,
  type Combination,
  type CombinationSource,
  combinationOf,
  combinationSchema,
  DEFAULT_COMBINATION,
  describeCombination,
  type ExpansionWeight,
} from './combination.ts';
export type { Corpus } from './corpus.ts';
export { CorpusSearch, type TriedCombination } from './corpus-search.ts';
export { rangeOfPassage } from './corpus-vectors.ts';
export {
  type DenseShares,
  type ExplainedQuery,
  ExplainedRanking,
  ExplainedSearch,
  type Explanation,
  type FusedShares,
  type RankedDocument,
  type TermShares,
} from './explained-search.ts';
export { checkFeedback, type FeedbackName } from './feedback.ts';
export {
  type MineNegativesOptions,
  type MineNegativesResult,
  mineNegatives,
} from './mine-negatives.ts';
export { DROP_REASONS, DROP_WORDS } from './mining/choose-negatives.ts';
export { CorpusTexts } from './mining/corpus-texts.ts';
export type { MiningCounts } from './mining/mining.ts';
export { type MiningInput, type MiningSettings, miningSchema, miningSettings, rangeOf } from './mining/settings.ts';
export { openEncoder } from './open-encoder.ts';
export { corpusOfIndex, openCorpus } from './own-corpus.ts';
export { type RememberingEncoder, rememberingEncoder } from './remembering-encoder.ts';
export type { ExpandedQuery, Retrieval, RetrieveOptions, Retriever } from './retriever.ts';
export { SEARCH_FORMATS } from './search-formats.ts';

export {
  combinationOptions,
  defaultRetrievalSettings,
  exactRetrievalSettings,
  offlineOption,
  passagesOption,
  type RetrievalSettings,
  retrievalSettings,
} from './settings.ts';
