import { basename, join } from 'node:path';
import { z } from 'zod';
import { readBoundedJson } from '../../files/index.ts';
import type { Qrels } from '../../measures/index.ts';
import { DEFAULT_SEED, isThere } from '../../system/index.ts';
import {
  type ArmFiles,
  type EvaluationFiles,
  type EvaluationSource,
  MOST_JSON_BYTES,
  noTexts,
} from './evaluation-files.ts';
import { foldersIn, RUN_FILE, runFilesIn } from './list-evaluations.ts';

/** What `report.json` tells, as `evaluate --report` and `demo` write it. */
const reportSchema = z.object({
  dataset: z.object({ name: z.string(), split: z.string(), documents: z.number().optional() }),
  arms: z.array(z.object({ name: z.string(), description: z.string() })),
  comparisons: z.array(z.object({ arm: z.string(), baseline: z.string(), measure: z.string() })),
  queries: z.array(
    z.object({
      id: z.string(),
      text: z.string(),
      expansions: z.array(z.string()),
      relevant: z.array(z.object({ id: z.string(), grade: z.number() })),
    }),
  ),
});
type Report = z.output<typeof reportSchema>;

/** Reads a folder of run files, with the report that lies beside them. */
export async function readRunFiles({ folder }: EvaluationSource): Promise<EvaluationFiles> {
  const report = await readReport(join(folder, 'report.json'));
  const files = await runFilesIn(folder);
  const names = new Map(files.map((file) => [nameOf(file, report), file]));
  const pair = pairOf([...names.keys()], report);
  // Another run in the folder may have searched with other texts, or none.
  const expanded = new Set([pair?.[1], ...(report?.comparisons.map(({ arm }) => arm) ?? [])]);
  const written = new Map(report?.queries.map(({ id, expansions }) => [id, expansions]));
  const arms = [...names].map(
    ([name, run]): ArmFiles => ({
      ...{ name, description: report?.arms.find((arm) => arm.name === name)?.description ?? basename(run) },
      ...{ run, values: new Map() },
      expansions: expanded.has(name) ? async (query) => written.get(query) ?? [] : noTexts,
    }),
  );
  const inside = (await foldersIn(folder)).map((name) => join(folder, name));
  const hasQueries = report !== undefined && report.queries.length > 0;
  return {
    ...{
      arms,
      pair,
      measure: report?.comparisons[0]?.measure ?? 'nDCG@10',
      seed: await seedOf(join(folder, 'metrics.json')),
    },
    texts: hasQueries ? new Map(report.queries.map(({ id, text }) => [id, text])) : undefined,
    relevant: hasQueries ? relevantOf(report) : undefined,
    dataset: { name: '', split: 'test', documents: undefined, ...report?.dataset, folders: [folder, ...inside] },
  };
}

/** The seed of the demo; `evaluate` records none. */
async function seedOf(file: string): Promise<number> {
  if (!(await isThere(file))) return DEFAULT_SEED;
  const schema = z.object({ settings: z.object({ seed: z.number() }) });
  const fix = 'Run `llm-qe demo` again, or remove the file.';
  return (await readBoundedJson(file, schema, { what: 'the metrics of a demo', fix })).settings.seed;
}

async function readReport(file: string): Promise<Report | undefined> {
  if (!(await isThere(file))) return undefined;
  const fix = 'Write the report again with `llm-qe evaluate --report`, or remove the file.';
  return readBoundedJson(file, reportSchema, { what: "a report's data", fix, mostBytes: MOST_JSON_BYTES });
}

/** The name of the search in the report whose run file this is, or else the file's own. */
function nameOf(file: string, report: Report | undefined): string {
  const stem = basename(file).replace(RUN_FILE, '');
  const named = report?.arms.find(({ name }) => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-') === stem);
  return named?.name ?? stem;
}

/** What the report compares, or else `x-raw` with `x`, as `evaluate --run-out` names them. */
function pairOf(names: readonly string[], report: Report | undefined): EvaluationFiles['pair'] {
  const main = report?.comparisons[0];
  if (main !== undefined && names.includes(main.baseline) && names.includes(main.arm)) return [main.baseline, main.arm];
  const expanded = names.find((name) => names.includes(`${name}-raw`));
  return expanded === undefined ? undefined : [`${expanded}-raw`, expanded];
}

function relevantOf({ queries }: Report): Qrels {
  return new Map(queries.map(({ id, relevant }) => [id, new Map(relevant.map((one) => [one.id, one.grade]))]));
}
