export { FinishedQueue } from './finished-queue.ts';
export { generationSchema } from './generation-schema.ts';
export type { ChatMessage, CuttablePart, Generation, GenerationRequest, Generator, Sampling } from './generator.ts';
export type { Adapter } from './llama/adapters.ts';
export { ADAPTER_CACHE } from './llama/adapters.ts';
export { type GeneratorModel, type LlamaOptions, loadGenerator } from './llama/llama-generator.ts';
export { refuseWithoutLlama } from './llama/llama-runtime.ts';
export { QUICK_WEIGHTS_CACHE, quickCopyFile, wantsQuickCopy } from './llama/quick-weights.ts';
export { openTokenScorer, scoreTokens, type TokenScorer, type TokenScorerOptions } from './llama/token-scorer.ts';
export {
  cutOpening,
  PROMPTS,
  type PromptFields,
  PromptTemplate,
  promptName,
  readPrompt,
  TASKS,
  type Task,
} from './prompts.ts';
export { RequestFeed } from './request-feed.ts';
export { checkSampling, samplingSchema } from './sampling.ts';
export { connectGenerator, type ServerOptions, servedModels } from './server-generator.ts';
export { type AnswerOptions, type AnswerResult, type AnswerTally, writeAnswers } from './writing/answers.ts';
export {
  CANDIDATE_SAMPLES,
  CANDIDATE_TEMPERATURES,
  type CandidateOptions,
  type CandidateResult,
  type CandidateTally,
  sampleCandidates,
} from './writing/candidates.ts';
export { checkSamples, type ExpandableQuery, type ExpandOptions, expandQueries, sourceOf } from './writing/expand.ts';
export { EXPANSION_CACHE } from './writing/expansion-cache.ts';
export {
  type ExpandResult,
  type ExpansionFiles,
  type ExpansionFilesOptions,
  type ExpansionStatistics,
  type ExpansionTask,
  toExpansion,
  writeExpansionFiles,
} from './writing/expansion-files.ts';
export type { QuerySource } from './writing/query-set.ts';
export {
  DEV_SHARE,
  type JoinRetrieverDataOptions,
  joinRetrieverData,
  type RetrieverDataResult,
  type WriteRetrieverDataOptions,
  type WrittenRetrieverDataResult,
  writeRetrieverData,
} from './writing/retriever-data.ts';
export { type KeyedText, type StageOptions, type StageOutcome, textKey, WRITERS_FORMAT } from './writing/stage.ts';
export { type TextCounts, textWarnings } from './writing/text-counts.ts';
export { passageOf } from './writing/written-text.ts';
