export {
  AFTER_FEATURES,
  BEFORE_FEATURES,
  type Feature,
  type Features,
  textFeatures,
  vectorFeatures,
  writtenFeatures,
} from './features.ts';
export { type AfterDecision, type BeforeDecision, Gate } from './gate.ts';
export { GATE_FORMAT, type GateData, gateSchema, writeGateFile } from './gate-file.ts';
export { fewestQueries, type HarmControl } from './harm-control.ts';
export { holdOut } from './hold-out.ts';
export { type MadeFor, madeFor, madeForSchema, otherSettings } from './made-for.ts';
export { comparePolicies, type PolicyReport, type PolicyValues, policyReportSchema } from './policy-report.ts';
export { type BeforeFeatures, type FeatureOptions, readAfter, readBefore } from './read-features.ts';
export { type GateExample, learnSafeGate } from './train-gate.ts';
