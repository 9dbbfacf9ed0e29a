import { z } from 'zod';
import { comparisonSchema } from '../../../evaluate/index.ts';
import { readBoundedJson } from '../../../files/index.ts';
import type { Scores } from '../../shapes/runs.ts';
import { shownTest } from './evaluations.ts';
import { fileInside } from './run-place.ts';

export const REPORT_DATA = 'report.json';
/** It holds what happened to every query. */
const LARGEST = 64 * 2 ** 20;

const reportSchema = z.object({
  dataset: z.object({ name: z.string(), documents: z.number(), queries: z.number() }),
  arms: z.array(z.object({ name: z.string(), description: z.string(), measures: z.record(z.string(), z.number()) })),
  comparisons: z.array(comparisonSchema),
});

/** The scores of a run without stages, such as a demo or a trial, from the data of its report. @throws RequestError without one; DataError */
export async function reportScores(run: string): Promise<Scores> {
  const path = await fileInside(run, REPORT_DATA);
  const fix = 'Run the same command again: it writes the report anew.';
  const known = { what: 'the data of a report', fix, mostBytes: LARGEST };
  const { dataset, arms, comparisons } = await readBoundedJson(path, reportSchema, known);
  const measures = [...new Set(arms.flatMap((arm) => Object.keys(arm.measures)))];
  return {
    ...{ dataset: dataset.name, documents: dataset.documents, queries: dataset.queries },
    measure: comparisons[0]?.measure ?? measures[0] ?? '',
    judgements: [{ measures, arms, tests: comparisons.map(shownTest) }],
  };
}
