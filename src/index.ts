/**
 * The library: one face over the floors, from measures at the ground to whole evaluations. Each name is documented where
 * it is defined; docs/data-model.md tells the records and files.
 */
export {
  type AnswerRecord,
  BeirDataset,
  type CandidateRecord,
  type Document,
  documentText,
  type Expansion,
  openTrainingSource,
  type PairRecord,
  type Query,
  type RewardRecord,
  readExpansions,
  readPairs,
  readQrels,
  readRun,
  type TrainingQuery,
  type Triple,
  writePairs,
  writeRun,
} from './data/index.ts';
export { connectEncoder, type Encoder, encodeCorpus, loadEncoder, VectorFile } from './embed/index.ts';
export {
  type Arm,
  type Comparison,
  compareArms,
  joinExpansions,
  loadTopics,
  runArm,
  type Topics,
  withExpansions,
  withoutExpansions,
} from './evaluate/index.ts';
export { OtherSettingsError } from './files/index.ts';
export {
  connectGenerator,
  cutOpening,
  expandQueries,
  type Generation,
  type GenerationRequest,
  type Generator,
  loadGenerator,
  openTokenScorer,
  PROMPTS,
  PromptTemplate,
  type Sampling,
  sampleCandidates,
  scoreTokens,
  type TokenScorer,
  writeAnswers,
} from './generate/index.ts';
export {
  bootstrapInterval,
  compareRuns,
  evaluateRun,
  Hits,
  holmCorrection,
  pairedTTest,
  type Qrels,
  type Run,
  type RunComparison,
  type RunEvaluation,
  randomizationTest,
  type ScoredDocument,
  TypedRun,
} from './measures/index.ts';
export {
  type Checkpoint,
  exportGguf,
  exportGgufAdapter,
  exportSafetensors,
  hfCheckpointOfGguf,
  hfConfigOfGguf,
  type LoraAdapter,
  ModelStore,
  mergedCheckpoint,
  openCheckpoint,
  parseLoraConfig,
  type ResolvedModel,
  readAdapter,
  writeAdapter,
} from './models/index.ts';
export {
  type BlockModel,
  bertConfigSchema,
  bertModel,
  exportOnnx,
  Graph,
  gradients,
  type Head,
  llamaConfigSchema,
  llamaLogits,
  llamaLogProbabilities,
  llamaModel,
  operations,
  Parameters,
  type Tensor,
  TrainingStep,
  type TrainingStepOptions,
} from './nn/index.ts';
export { type AlignResult, align, planAlignment, type Recipe, readRecipe } from './pipeline/index.ts';
export { buildReport, type ReportData, renderAuditPage, renderReport, writeReport } from './report/index.ts';
export {
  type Corpus,
  CorpusSearch,
  defaultRetrievalSettings,
  type ExpandedQuery,
  type RetrievalSettings,
  type Retriever,
} from './retrieve/index.ts';
export {
  buildPairs,
  DenseCandidateSearch,
  defaultPairSettings,
  functionReward,
  loadReward,
  RankReward,
  type Reward,
  type RewardAudit,
  rewardCandidates,
  SearchReward,
  SimilarityReward,
  ZScoreReward,
} from './reward/index.ts';
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
export {
  AdamW,
  DivergedError,
  PreferenceTask,
  SupervisedTask,
  type TrainingResult,
  type TrainingSettings,
  type TrainingTask,
  train,
  trainGenerator,
  trainGeneratorWithTrl,
} from './train/index.ts';
