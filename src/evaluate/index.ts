export {
  type Arm,
  type ArmOptions,
  type ArmPlan,
  millisecondsPerQuery,
  REPORTED_MEASURES,
  runArm,
  TABLE_MEASURES,
} from './arms.ts';
export { compareArms } from './comparison.ts';
export { toRun } from './runs.ts';
export { joinExpansions, loadTopics, type Topics, withExpansions, withoutExpansions } from './topics.ts';
