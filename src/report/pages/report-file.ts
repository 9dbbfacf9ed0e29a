import { open, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { systemFault, UsageError, writeDurably } from '../../system/index.ts';
import type { ReportData } from '../report-data.ts';
import { renderReport } from './page.ts';

/** The `format` of a report's JSON. Files of version 0.1 lack it and are recognised by their structure. */
const FORMAT = 'llm-qe report 2';
const unnamed = z.looseObject({
  title: z.string(),
  dataset: z.unknown(),
  arms: z.array(z.unknown()),
  comparisons: z.array(z.unknown()),
});

/** Returns the JSON file that belongs to a page: `report.json` for `report.html`. */
export function reportDataFile(page: string): string {
  return `${page.replace(/\.html?$/i, '')}.json`;
}

/**
 * Refuses a page whose JSON file would overwrite a file that is not the JSON of a report. Call it before the work that
 * fills the report.
 *
 * @throws UsageError that names the file
 */
export async function checkReportFile(page: string): Promise<void> {
  const file = reportDataFile(page);
  if (await isReportOrNothing(file)) return;
  throw new UsageError('the JSON file of the report would overwrite this file, which is not the JSON of a report', {
    file,
    fix: 'Pass another file for the report.',
  });
}

/** Writes the page, and the same content as JSON next to it (`report.html` and `report.json`). @throws UsageError, ResourceError */
export async function writeReport(page: string, data: ReportData): Promise<void> {
  await checkReportFile(page);
  await writeDurably(page, renderReport(data));
  await writeDurably(reportDataFile(page), `${JSON.stringify({ format: FORMAT, ...data }, null, 1)}\n`);
}

/** Checks the first characters before parsing: a report's JSON may be large. */
async function isReportOrNothing(file: string): Promise<boolean> {
  const head = await firstCharacters(file);
  if (head === undefined) return true;
  if (/^\{\s*"format":\s*"llm-qe report/.test(head)) return true;
  if (!head.trimStart().startsWith('{')) return false;
  try {
    return unnamed.safeParse(JSON.parse(await readFile(file, 'utf8'))).success;
  } catch {
    return false;
  }
}

async function firstCharacters(file: string): Promise<string | undefined> {
  try {
    const handle = await open(file);
    try {
      const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(64) });
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  }
}
