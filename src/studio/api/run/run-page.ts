import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { readBoundedJson } from '../../../files/index.ts';
import { readRecord, type StageRecord, summarizeRun } from '../../../pipeline/index.ts';
import { DataError, isThere } from '../../../system/index.ts';
import type { RunPage, RunStage, StageProgress } from '../../shapes/runs.ts';
import { factsOf } from './facts.ts';
import type { LineCounts } from './line-counts.ts';
import { REPORT_DATA } from './report-scores.ts';

const METRICS = 'metrics.jsonl';
/** A manifest holds recipe, prompts and the results of all stages. */
const LARGEST_MANIFEST = 16 * 2 ** 20;

const manifestSchema = z.object({
  command: z.string().default('align'),
  version: z.string().default(''),
  recipe: z.record(z.string(), z.unknown()).optional(),
  settings: z.record(z.string(), z.unknown()).optional(),
});

/** Reads what a run's folder says now; nothing is kept but the places up to which growing files were counted. */
export async function readRunPage(folder: string, counts: LineCounts): Promise<RunPage> {
  const { stages, ...run } = await summarizeRun(folder);
  const faults = [...run.faults];
  const records = new Map<string, StageRecord>();
  for (const stage of stages) {
    const record = await readRecord(join(folder, stage.folder)).catch(noRecord);
    if (record !== undefined) records.set(stage.folder, record);
  }
  const shown: RunStage[] = [];
  for (const [name, record] of records) shown.push(await stageOf(folder, name, record, [...records.values()], counts));
  const manifest = await readManifest(folder).catch((error: unknown) => {
    if (!(error instanceof DataError)) throw error;
    faults.push(error.message);
    return undefined;
  });
  const hasScores = shown.length === 0 && (await isThere(join(folder, REPORT_DATA)));
  return { ...run, stages: shown, hasScores, faults, manifest };
}

/** A stage that was removed or damaged since the list was read is named by the next reading. */
function noRecord(error: unknown): undefined {
  if (!(error instanceof DataError)) throw error;
}

async function readManifest(folder: string): Promise<RunPage['manifest']> {
  const file = join(folder, 'manifest.json');
  if (!(await isThere(file))) return undefined;
  const fix = 'Run the same command again: it writes the file anew.';
  const asked = { what: 'a manifest', fix, mostBytes: LARGEST_MANIFEST };
  const { command, version, recipe, settings } = await readBoundedJson(file, manifestSchema, asked);
  return { command, version, settings: factsOf(recipe ?? settings ?? {}) };
}

async function stageOf(
  run: string,
  folder: string,
  record: StageRecord,
  all: readonly StageRecord[],
  counts: LineCounts,
): Promise<RunStage> {
  const { stage, finished, seconds, version, outputs, settings, result } = record;
  return {
    ...{ name: stage, folder, finished, seconds, version },
    outputs: Object.entries(outputs).map(([name, { file, bytes }]) => ({ name, file, bytes })),
    ...{ settings: factsOf(settings), result: factsOf(result) },
    progress: finished ? [] : await progressOf(join(run, folder), record, all, counts),
    hasCurves: await isThere(join(run, folder, METRICS)),
  };
}

/** An unfinished stage keeps what it has in journals, or in the metrics of its training. */
async function progressOf(
  folder: string,
  record: StageRecord,
  all: readonly StageRecord[],
  counts: LineCounts,
): Promise<StageProgress[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const growing = entries.filter((one) => one.isFile() && (one.name.endsWith('.journal') || one.name === METRICS));
  const progress: StageProgress[] = [];
  for (const { parentPath, name } of growing) {
    const path = join(parentPath, name);
    const { lines: done, changedAt } = await counts.of(path);
    const file = relative(folder, path).replaceAll('\\', '/');
    progress.push({ file, unit: unitOf(record.stage, name), done, total: totalOf(record.stage, all), changedAt });
  }
  return progress.sort((a, b) => a.changedAt - b.changedAt);
}

function unitOf(stage: string, file: string): string {
  if (file === METRICS) return 'steps and evaluations';
  return stage === 'reward' || stage === 'answers' ? 'queries' : 'texts';
}

/** Answers and rewards are for the queries that have candidates. */
function totalOf(stage: string, all: readonly StageRecord[]): number | undefined {
  if (stage !== 'reward' && stage !== 'answers') return undefined;
  const sampled = all.filter((one) => one.stage === 'candidates' && one.finished);
  const [queries] = sampled.map(({ result }) => result.queries);
  return sampled.length === 1 && typeof queries === 'number' ? queries : undefined;
}
