export { checkGeneratorBase, checkGeneratorSettings } from './check-generator-training.ts';
export {
  EXPORT_ENGINES,
  EXPORT_FILES,
  type ExportEngine,
  exportRetrieverTraining,
  type RetrieverExport,
} from './exports/retriever-export.ts';
export {
  describeSkipped,
  TOKEN_FAULTS,
  type TokenFault,
  type TokenizedPairs,
  type TokenPair,
  tokenizePairs,
} from './generator/chat-tokens.ts';
export { type GeneratorBase, openGeneratorBase } from './generator/generator-base.ts';
export type { PairCounts } from './generator/generator-pairs.ts';
export {
  type GeneratorTrainingInput,
  type GeneratorTrainingSettings,
  generatorTrainingSchema,
  generatorTrainingShape,
  parseGeneratorSettings,
  RENAMED_GENERATOR_SETTINGS,
} from './generator/generator-settings.ts';
export { type GeneratorStepOptions, isTarget, type LoraSettings, loraConfig } from './generator/generator-step.ts';
export { LOSS_TYPES, type LossType, type PreferenceLossSettings } from './generator/preference-losses.ts';
export { type PreferenceExample, PreferenceTask, type PreferenceTaskOptions } from './generator/preference-task.ts';
export { REFERENCE_CACHE, type ReferenceOptions, withReference } from './generator/reference-log-probabilities.ts';
export { type SupervisedExample, SupervisedTask } from './generator/supervised-task.ts';
export { type TrainGeneratorOptions, type TrainGeneratorResult, trainGenerator } from './generator/train-generator.ts';
export { BatchPlan, cutMicroBatches, type MicroBatchLimits, totalSteps } from './loop/batches.ts';
export { loadParameters } from './loop/checkpoint.ts';
export { DivergedError } from './loop/errors.ts';
export { evaluateTask, type Figures } from './loop/evaluation.ts';
export { type MetricsRecord, metricsFile, metricsRecordSchema, readMetrics } from './loop/metrics.ts';
export { AdamW, type AdamWOptions, hasWeightDecay } from './loop/optimizer.ts';
export { type Schedule, type ScheduleKind, scheduleFactor, warmupSteps } from './loop/schedule.ts';
export { type TrainingExamples, type TrainingResult, type TrainOptions, train } from './loop/trainer.ts';
export type { SavedCheckpoint } from './loop/training-folder.ts';
export {
  loopSettingsOf,
  parseTrainingSettings,
  RENAMED_TRAINING_SETTINGS,
  type TrainingSettings,
  type TrainingSettingsInput,
  trainingSettingsSchema,
} from './loop/training-settings.ts';
export type { MicroBatchResult, TrainingTask } from './loop/training-task.ts';
export { type ClusterInput, clusterShape } from './python/cluster-settings.ts';
export type { PythonInstallation } from './python/python-installation.ts';
export {
  planRetriever,
  type RetrieverMemory,
  type RetrieverPlan,
  retrieverMemory,
} from './retriever/plan-retriever.ts';
export type { EncoderReading } from './retriever/retriever-base.ts';
export {
  parseRetrieverSettings,
  QUERY_SIDES,
  type QuerySide,
  RETRIEVER_METHODS,
  type RetrieverMethod,
  type RetrieverTrainingInput,
  type RetrieverTrainingSettings,
  retrieverTrainingSchema,
  retrieverTrainingShape,
} from './retriever/retriever-settings.ts';
export { type TrainRetrieverOptions, type TrainRetrieverResult, trainRetriever } from './retriever/train-retriever.ts';
export {
  prepareRetrieverElsewhere,
  type RetrieverFiles,
  type TrainRetrieverElsewhereOptions,
  type TrainRetrieverElsewhereResult,
  trainRetrieverElsewhere,
} from './sentence-transformers/train-retriever-elsewhere.ts';
export {
  prepareGeneratorForTrl,
  refuseTemplateVariables,
  type TrainGeneratorWithTrlOptions,
  type TrainGeneratorWithTrlResult,
  trainGeneratorWithTrl,
} from './trl/train-generator-with-trl.ts';
export { prepareTrl, type TrlFiles, type TrlOptions, type TrlResult, trainWithTrl } from './trl/trl-engine.ts';
export { findTrl } from './trl/trl-installation.ts';
export type { TrlJob, TrlPlan } from './trl/trl-plan.ts';
export {
  parseTrlSettings,
  RENAMED_TRL_SETTINGS,
  type TrlSettings,
  type TrlSettingsInput,
  trlShape,
} from './trl/trl-settings.ts';
