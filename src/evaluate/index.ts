export {
  type Arm,
  type ArmOptions,
  type ArmPlan,
  millisecondsPerQuery,
  REPORTED_MEASURES,
  runArm,
  TABLE_MEASURES,
} from './arms.ts';
export { type Comparison, compareArms } from './comparison.ts';
export {
  type EvaluationData,
  evaluationSchema,
  type JudgedArm,
  type JudgedTest,
  type Judgement,
} from './evaluation-data.ts';
export { type ArmTopics, Judge, type ScoredArm } from './judge.ts';
export { pairedTests } from './paired-tests.ts';
export { joinExpansions, loadTopics, type Topics, withExpansions, withoutExpansions } from './topics.ts';
