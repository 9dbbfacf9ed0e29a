export { shareTest, shareUpperBound } from './binomial-bound.ts';
export { type Agreement, cohenKappa } from './cohen-kappa.ts';
export {
  type ComparisonOptions,
  compareRuns,
  compareValues,
  type MissingPolicy,
  type PairedComparison,
  type QueryChange,
  type RunComparison,
} from './compare-runs.ts';
export { type EvaluationOptions, evaluateRun, MEASURES_FORMAT, type RunEvaluation } from './evaluate-run.ts';
export { DocumentNumbers, type HitList, type HitRows, Hits, TypedRun } from './hits.ts';
export { kendallTau } from './kendall-tau.ts';
export {
  ALL_MEASURES,
  CUTOFFS,
  displayName,
  type Measure,
  parseMeasure,
  parseQualityMeasure,
  trecName,
} from './measure.ts';
export { combineEffects, type MetaAnalysis, type StudyEffect } from './meta-analysis.ts';
export { rankBiasedOverlap } from './rank-biased-overlap.ts';
export { compareDocumentIds, rankHits } from './ranking.ts';
export type { Qrels, Run, ScoredDocument } from './records.ts';
export {
  describeSelfRetrieval,
  judgesItselfRelevant,
  relevantSelves,
  type SelfRetrieval,
} from './self-retrieval.ts';
export {
  type BootstrapInterval,
  bootstrapInterval,
  countEffects,
  type EffectCounts,
  holmCorrection,
  pairDifferences,
  pairedTTest,
  type RandomizationTest,
  type ResamplingOptions,
  randomizationTest,
  type TTest,
} from './significance.ts';
