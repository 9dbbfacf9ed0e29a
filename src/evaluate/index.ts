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
export { describeSettings } from './describe-settings.ts';
export { auditSection, renderAuditPage, writeAuditPage } from './report/audit-page.ts';
export { buildReport, describeCost } from './report/build-report.ts';
export { changePlot } from './report/change-plot.ts';
export { count, direction, percent, pValue, score, shorten, signed } from './report/figures.ts';
export { type Line, linePlot } from './report/line-plot.ts';
export { html, Markup } from './report/markup.ts';
export { renderReport } from './report/page.ts';
export type { ReportComparison, ReportData } from './report/report-data.ts';
export { type SettingSections, settingLists, wholePage } from './report/whole-page.ts';
export { writeReport } from './report/write-report.ts';
export { toRun } from './runs.ts';
export { joinExpansions, loadTopics, type Topics, withExpansions, withoutExpansions } from './topics.ts';
