export { auditSuite, type SetAudit } from './audit.ts';
export { chooseSets, findSuite, SUITE_IN_WORDS } from './known-suites.ts';
export { parityBySet, parityOf } from './parity.ts';
export { PUBLISHED_SCORES, type PublishedScores } from './published.ts';
export { compareQueries } from './query-effects.ts';
export { divideQueries } from './query-slices.ts';
export {
  type ExpansionWriter,
  type RunSuiteOptions,
  resultsFolder,
  runSuite,
  type SuiteFailure,
  type SuiteRun,
  type WritingRequest,
} from './run-suite.ts';
export { setFolder } from './set-folder.ts';
export { type PlannedSet, planSuite, type SuitePlan } from './suite-plan.ts';
export { readSuiteFile, type Suite, type SuiteSet, type SystemTexts } from './suite-schema.ts';
export { describeFailure, SUITE_MEASURES, type SummaryOptions, summarize } from './summary.ts';
export { readSystemValues } from './system-run.ts';
export { isExpanded, parseSystems, type SuiteSystem, type SystemOptions } from './system-spec.ts';
export { csvTable, latexTable, markdownTable, metaLines, tableLegend, terminalTable } from './table-formats.ts';
