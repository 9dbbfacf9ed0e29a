export { BatchPlan, cutMicroBatches, type MicroBatchLimits, totalSteps } from './batches.ts';
export { loadParameters } from './checkpoint.ts';
export { DivergedError } from './diverged-error.ts';
export { evaluateTask, type Figures } from './evaluation.ts';
export { type MetricsRecord, metricsFile, metricsRecordSchema, readMetrics } from './metrics.ts';
export { AdamW, type AdamWOptions, hasWeightDecay } from './optimizer.ts';
export { type Schedule, type ScheduleKind, scheduleFactor, warmupSteps } from './schedule.ts';
export { type TrainingExamples, type TrainingResult, type TrainOptions, train } from './trainer.ts';
export type { SavedCheckpoint } from './training-folder.ts';
export {
  parseTrainingSettings,
  type TrainingSettings,
  type TrainingSettingsInput,
  trainingSettingsSchema,
} from './training-settings.ts';
export type { MicroBatchResult, TrainingTask } from './training-task.ts';
