export { renderAlignmentReport } from './alignment-page.ts';
export { renderAuditPage, writeAuditPage } from './audit-page.ts';
export { buildReport, describeCost } from './build-report.ts';
export { changePlot } from './change-plot.ts';
export { describeSettings } from './describe-settings.ts';
export {
  type AlphaSource,
  describeAlpha,
  describeExpansions,
  describeNoise,
  describeSample,
  type ExpansionFacts,
  expansionSettings,
  readExpansionFacts,
} from './expansion-facts.ts';
export { count, direction, percent, pValue, score, shorten, signed } from './figures.ts';
export { labelOf, valueInWords } from './labels.ts';
export { countsOf, type LeftOut, leftOutOf, saidIn, sumOf } from './left-out.ts';
export { type Line, linePlot } from './line-plot.ts';
export { html, Markup } from './markup.ts';
export { renderReport } from './page.ts';
export type { ReportData } from './report-data.ts';
export { checkReportFile, reportDataFile, writeReport } from './report-file.ts';
export { type PageContent, type Section, type SettingSections, settingLists, wholePage } from './whole-page.ts';
