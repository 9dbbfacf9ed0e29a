import { writeDurably } from '../system/index.ts';
import { renderReport } from './page.ts';
import type { ReportData } from './report-data.ts';

/** Writes the page, and beside it the same content as JSON (`report.html` and `report.json`). */
export async function writeReport(file: string, data: ReportData): Promise<void> {
  await writeDurably(file, renderReport(data));
  await writeDurably(file.replace(/\.html?$/i, '').concat('.json'), `${JSON.stringify(data, null, 1)}\n`);
}
