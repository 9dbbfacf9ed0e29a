/**
 * The library: one face over the floors, from measures at the ground to whole evaluations. Each name is documented where
 * it is defined; docs/data-model.md tells the records and files.
 */
export {
  BeirDataset,
  type Document,
  documentText,
  type Expansion,
  type Query,
  readExpansions,
  readQrels,
  readRun,
  type Triple,
  writeRun,
} from './data/index.ts';
export { connectEncoder, type Encoder, encodeCorpus, loadEncoder, VectorFile } from './embed/index.ts';
export {
  type Arm,
  buildReport,
  type Corpus,
  CorpusSearch,
  compareArms,
  defaultRetrievalSettings,
  type ExpandedQuery,
  joinExpansions,
  loadTopics,
  type ReportData,
  type RetrievalSettings,
  type Retriever,
  renderReport,
  runArm,
  type Topics,
  withExpansions,
  withoutExpansions,
  writeReport,
} from './evaluate/index.ts';
export {
  connectGenerator,
  cutOpening,
  expandQueries,
  type Generation,
  type GenerationRequest,
  type Generator,
  loadGenerator,
  PROMPTS,
  PromptTemplate,
  type Sampling,
} from './generate/index.ts';
export {
  bootstrapInterval,
  compareRuns,
  evaluateRun,
  holmCorrection,
  pairedTTest,
  type Qrels,
  type Run,
  type RunComparison,
  type RunEvaluation,
  randomizationTest,
  type ScoredDocument,
} from './measures/index.ts';
export { ModelStore, openCheckpoint, type ResolvedModel } from './models/index.ts';
export { Bm25Index, combineQueryVectors, ExactIndex, fuseRuns, MemoryVectors, repeatQuery } from './search/index.ts';
export {
  AbortedError,
  DataError,
  LlmQeError,
  ModelError,
  NetworkError,
  ResourceError,
  UsageError,
} from './system/index.ts';
