export { count, direction, percent, pooledSets, pValue, score, shorten, signed } from './figures.ts';
export { labelOf, valueInWords } from './labels.ts';
export { html, Markup } from './markup.ts';
export { renderAlignmentReport } from './pages/alignment-page.ts';
export { renderAuditPage, writeAuditPage } from './pages/audit-page.ts';
export { buildReport, describeCost, type ReportedArm } from './pages/build-report.ts';
export { renderReport } from './pages/page.ts';
export { checkReportFile, reportDataFile, writeReport } from './pages/report-file.ts';
export { renderSuiteReport } from './pages/suite-page.ts';
export { changePlot } from './plots/change-plot.ts';
export { type Line, linePlot } from './plots/line-plot.ts';
export type { ReportData } from './report-data.ts';
export { describeSettings } from './sections/describe-settings.ts';
export {
  type AlphaSource,
  describeAlpha,
  describeExpansions,
  describeNoise,
  describeSample,
  type ExpansionFacts,
  expansionSettings,
  readExpansionFacts,
} from './sections/expansion-facts.ts';
export { countsOf, type LeftOut, leftOutOf, saidIn, sumOf } from './sections/left-out.ts';
export { SELF_HITS_IN_WORDS, selfHitsOf } from './sections/self-hits.ts';
export { FEWEST_SETS, type SuiteVerdict, suiteVerdicts, verdictLines } from './sections/suite-verdicts.ts';
export type {
  ParityVerdict,
  SuiteCell,
  SuiteColumn,
  SuiteComparison,
  SuiteData,
  SuiteMean,
  SuiteMeta,
  SuiteOverall,
  SuiteParity,
  SuiteQuery,
  SuiteRow,
  SuiteSlice,
} from './suite-data.ts';
export { FEWEST_OF_KIND } from './suite-data.ts';
export { type PageContent, type Section, type SettingSections, settingLists, wholePage } from './whole-page.ts';
