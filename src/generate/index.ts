export type { Adapter } from './adapters.ts';
export { type AnswerOptions, type AnswerResult, type AnswerTally, writeAnswers } from './answers.ts';
export {
  CANDIDATE_SAMPLES,
  CANDIDATE_TEMPERATURES,
  type CandidateOptions,
  type CandidateResult,
  type CandidateTally,
  sampleCandidates,
} from './candidates.ts';
export {
  type ExpandableQuery,
  type ExpandOptions,
  type ExpandResult,
  type ExpansionFiles,
  type ExpansionStatistics,
  expandQueries,
} from './expand.ts';
export type { ChatMessage, CuttablePart, Generation, GenerationRequest, Generator, Sampling } from './generator.ts';
export { type GeneratorModel, type LlamaOptions, loadGenerator } from './llama-generator.ts';
export { cutOpening } from './openings.ts';
export { PROMPTS, type PromptFields, PromptTemplate, readPrompt, TASKS, type Task } from './prompts.ts';
export { quickCopyFile, wantsQuickCopy } from './quick-weights.ts';
export { samplingSchema } from './sampling.ts';
export { connectGenerator, type ServerOptions } from './server-generator.ts';
export type { StageOptions, StageOutcome } from './stage.ts';
export { openTokenScorer, scoreTokens, type TokenScorer, type TokenScorerOptions } from './token-scorer.ts';
