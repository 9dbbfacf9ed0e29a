import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ReportData } from '../report-data.ts';
import { reportDataFile, writeReport } from './report-file.ts';

const DATA: ReportData = {
  ...{ title: 'A run', dataset: { name: 'toy', split: 'test', documents: 2, queries: 1 } },
  ...{ arms: [], comparisons: [], queries: [], made: [], cost: undefined, settings: [], remarks: [] },
};
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-report-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a report and its JSON', () => {
  it.each([
    ['report.html', 'report.json'],
    ['report.HTM', 'report.json'],
    ['report', 'report.json'],
    ['a.b.html', 'a.b.json'],
  ])('%s has %s', (page, json) => {
    expect(reportDataFile(page)).toBe(json);
  });

  it('are written, and replaced when written again', async () => {
    const page = join(folder, 'report.html');
    await writeReport(page, DATA);
    await writeReport(page, { ...DATA, title: 'Another run' });
    expect(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')).title).toBe('Another run');
    expect(readFileSync(page, 'utf8')).toContain('Another run');
  });

  it('replace the JSON of version 0.1, which had no format', async () => {
    writeFileSync(join(folder, 'report.json'), JSON.stringify(DATA, null, 1));
    await writeReport(join(folder, 'report.html'), DATA);
    expect(readFileSync(join(folder, 'report.json'), 'utf8')).toContain('"format": "llm-qe report');
  });

  it.each([
    ['an audit', '{"queries": {"all": 3}, "pairs": {}}'],
    ['a list', '[1, 2]'],
    ['half a JSON document', '{"title": "A run", "arms": ['],
    ['a text', 'notes of mine\n'],
    ['nothing', ''],
    ['a text that names the format', 'see "format": "llm-qe report 2"'],
  ])('never overwrite %s', async (_what, content) => {
    const file = join(folder, 'audit.json');
    writeFileSync(file, content);
    await expect(writeReport(join(folder, 'audit.html'), DATA)).rejects.toThrow(
      /audit\.json.*not the JSON of a report/,
    );
    expect(readFileSync(file, 'utf8')).toBe(content);
    expect(existsSync(join(folder, 'audit.html'))).toBe(false);
  });
});
