export { type Corpus, CorpusSearch, openEncoder } from './corpus-search.ts';
export { openCorpus } from './own-corpus.ts';
export { rememberingEncoder } from './remembering-encoder.ts';
export type { ExpandedQuery, Retrieval, RetrieveOptions, Retriever } from './retriever.ts';
export { SEARCH_FORMATS } from './search-formats.ts';
export { defaultRetrievalSettings, offlineOption, type RetrievalSettings, retrievalSettings } from './settings.ts';
