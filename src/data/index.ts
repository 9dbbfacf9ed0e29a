export {
  type AnswerRecord,
  answerSchema,
  type CandidateRecord,
  candidateIdOf,
  candidateSchema,
  type Message,
  messageSchema,
  type PairRecord,
  pairSchema,
  type RewardRecord,
  rewardSchema,
  type TrainingQuery,
  trainingQuerySchema,
} from './alignment-records.ts';
export { BeirDataset } from './beir.ts';
export { type BeirDownloadOptions, downloadBeir } from './beir-download.ts';
export { BEIR_DATASETS, BEIR_URL, type BeirSource } from './beir-table.ts';
export { checkBeir, type DatasetCheck, type SplitCounts, type TextCounts } from './check.ts';
export { countDocuments, documentSchema, querySchema, readCorpus, readQueries } from './corpus.ts';
export { cachedSha256 } from './corpus-hash.ts';
export { ECHO_FILES, echoRowSchema, type MergeSummary, mergeEcho, tripleSchema } from './echo.ts';
export { expansionSchema, readExpansions } from './expansions.ts';
export { checkJudgedQueries, sampleRows } from './judged-queries.ts';
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
} from './preference-pairs.ts';
export { type Document, documentText, type Expansion, type Query, type Triple } from './records.ts';
export { resolveSize, type SplitOptions, splitIds, splitRows } from './splits.ts';
export {
  goldIdOfTriple,
  readDocumentTexts,
  readGoldTexts,
  readTrainingQueries,
  readTripleQueries,
} from './training-queries.ts';
export { openTrainingSource, type TrainingSource, type TrainingSourceOptions } from './training-source.ts';
export { readJudgements, readQrels, readRun, writeBeirQrels, writeRun, writeTrecQrels } from './trec.ts';
export { buildWordnetDataset } from './wordnet/dataset.ts';
export { type WordnetManifest, type WordnetOptions, wordnetOptions } from './wordnet/settings.ts';
