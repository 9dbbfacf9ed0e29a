export {
  type AnswerRecord,
  answerSchema,
  type CandidateRecord,
  candidateIdOf,
  candidateSchema,
  type EmptyBecause,
  type Message,
  messageSchema,
  type PairRecord,
  pairSchema,
  type RewardRecord,
  rewardSchema,
  type TrainingQuery,
  trainingQuerySchema,
  writtenFacts,
} from './alignment/alignment-records.ts';
export { ECHO_FILES, echoRowSchema, type MergeSummary, mergeEcho, tripleSchema } from './alignment/echo.ts';
export { ExpansionFile } from './alignment/expansion-file.ts';
export { expansionSchema, readExpansions } from './alignment/expansions.ts';
export {
  findFault,
  noFaults,
  PAIR_FAULTS,
  PAIR_LAYOUTS,
  type PairFault,
  type PairLayout,
  type PairReading,
  type PairSides,
  type ReadPairsOptions,
  readPairs,
  toConversations,
  writePairs,
} from './alignment/preference-pairs.ts';
export {
  queryTextOf,
  RETRIEVER_LAYOUTS,
  type RetrieverLayout,
  type RetrieverPassage,
  type RetrieverRow,
  readRetrieverRows,
  retrieverRowSchema,
} from './alignment/retriever-rows.ts';
export {
  openRetrieverSource,
  REFUSAL_WORDS,
  type RetrieverSource,
  type RetrieverSourceOptions,
  ROW_REFUSALS,
  type RowCounts,
  type RowRefusal,
} from './alignment/retriever-source.ts';
export {
  goldIdOfTriple,
  readDocumentTexts,
  readGoldTexts,
  readTrainingQueries,
  readTripleQueries,
} from './alignment/training-queries.ts';
export { openTrainingSource, type TrainingSource, type TrainingSourceOptions } from './alignment/training-source.ts';
export { BeirDataset } from './beir/beir.ts';
export { type BeirDownloadOptions, downloadBeir } from './beir/beir-download.ts';
export {
  BEIR_DATASETS,
  BEIR_MIRRORS,
  type BeirMirror,
  type BeirSource,
  BRIGHT,
  type HubSource,
  NANO_BEIR,
  type SetCounts,
  TREC_DL,
} from './beir/beir-table.ts';
export { checkBeir, type DatasetCheck, type SplitCounts, type TextCounts } from './beir/check.ts';
export { countDocuments, documentSchema, querySchema, readCorpus, readQueries } from './beir/corpus.ts';
export { cachedSha256, FILE_HASH_CACHE } from './beir/corpus-hash.ts';
export { downloadFromHub, EXCLUDED_FILE } from './beir/hub-download.ts';
export { checkJudgedQueries, sampleRows } from './beir/judged-queries.ts';
export { type Document, documentText, type Expansion, type Query, type Triple } from './beir/records.ts';
export { resolveSize, type SplitOptions, splitIds, splitRows } from './beir/splits.ts';
export {
  beirQrelsLines,
  readJudgements,
  readQrels,
  readRun,
  trecQrelsLines,
  trecRunLines,
  writeBeirQrels,
  writeRun,
  writeTrecQrels,
} from './beir/trec.ts';
export {
  documentOfPassage,
  PASSAGES_FORMAT,
  type PassageRange,
  type PassageSettings,
  parsePassages,
  passageDocuments,
  passageId,
  splitPassages,
} from './passages.ts';
export { buildWordnetDataset } from './wordnet/dataset.ts';
export { WORDNET_CACHE, type WordnetManifest, type WordnetOptions, wordnetOptions } from './wordnet/settings.ts';
