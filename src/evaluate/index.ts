export {
  type Arm,
  type ArmOptions,
  type ArmPlan,
  MEASURES_IN_WORDS,
  millisecondsPerQuery,
  REPORTED_MEASURES,
  runArm,
  TABLE_MEASURES,
} from './arms.ts';
export { type AlphaChoice, type ChooseAlphaOptions, ChosenAlphaRetriever, chooseAlpha } from './choose-alpha.ts';
export { type Comparison, compareArms, comparisonSchema, toComparison } from './comparison.ts';
export { type DevTopics, loadDevTopics } from './dev-topics.ts';
export { type EncoderFiguresOptions, encoderFigures, searchesRawQueries } from './encoder-figures.ts';
export {
  EVALUATION_FORMAT,
  type EvaluationData,
  evaluationSchema,
  type JudgedArm,
  type Judgement,
} from './evaluation-data.ts';
export { type GateExampleOptions, gateExamples } from './gate-examples.ts';
export { decide, evaluateGated, type GateDecision, type GatedEvaluation, runGatedArm } from './gated.ts';
export { type ArmTopics, Judge, type ScoredArm } from './judge.ts';
export { type LatencyOptions, measureLatencies } from './latency.ts';
export { auditLeaks, describeLeaks, type LeakAudit, type LeakAuditOptions } from './leak-audit.ts';
export { describeMissing } from './missing-documents.ts';
export { type CorrectedComparison, type PairedTestsOptions, pairedTests, type QueryValues } from './paired-tests.ts';
export {
  joinExpansions,
  loadTopics,
  replaceQueries,
  type Topics,
  withExpansions,
  withoutExpansions,
} from './topics.ts';
export { type AlphaTuning, type TuneAlphaOptions, type TuningPoint, tuneAlpha } from './tune-alpha.ts';
export { combinationInWords, type TunedPoint, type Tuning, tuneCombination } from './tune-combination.ts';
export { readTunedFile, type TunedData, tunedWarnings, writeTunedFile } from './tuned-file.ts';
export {
  type Judgeable,
  measureInWords,
  P_IN_WORDS,
  VERDICT_THRESHOLDS,
  type Verdict,
  type VerdictKind,
  verdictOn,
} from './verdict.ts';
