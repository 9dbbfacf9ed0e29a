import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { cachedSha256, ExpansionFile } from '../../data/index.ts';
import { readBoundedJson } from '../../files/index.ts';
import { readRecord, type StageRecord } from '../../pipeline/index.ts';
import { readSystemValues, setFolder } from '../../suites/index.ts';
import { DEFAULT_SEED, isThere } from '../../system/index.ts';
import {
  type ArmFiles,
  type EvaluationFiles,
  type EvaluationSource,
  MOST_JSON_BYTES,
  noTexts,
} from './evaluation-files.ts';
import { foldersIn } from './list-evaluations.ts';

const resultsSchema = z.object({
  suite: z.string(),
  measure: z.string(),
  baseline: z.string(),
  systems: z.array(z.object({ name: z.string(), description: z.string() })),
  comparison: z.object({ system: z.string(), baseline: z.string() }).optional(),
});
const settingsSchema = z.object({
  set: z.object({ split: z.string(), seed: z.number().optional() }),
  retriever: z.string(),
  expansions: z.string().optional(),
});
const resultSchema = z.object({ documents: z.number() });

interface Searched {
  record: StageRecord;
  folder: string;
  changedAt: number;
}

/** Reads what a benchmark found on one set: each system's last finished search. */
export async function readBenchmark({ id, folder, runFolder }: EvaluationSource): Promise<EvaluationFiles> {
  const set = id.slice(id.indexOf('/sets/') + '/sets/'.length);
  const results = await readResults(join(runFolder, 'results.json'));
  const searches = await lastSearches(folder);
  const arms: ArmFiles[] = [];
  const dataset: EvaluationFiles['dataset'] = { name: set, split: 'test', documents: undefined, folders: [] };
  let seed = DEFAULT_SEED;
  for (const [name, { record, folder: at }] of inOrder(searches, results)) {
    const settings = settingsSchema.parse(record.settings);
    dataset.split = settings.set.split;
    dataset.documents = resultSchema.parse(record.result).documents;
    seed = settings.set.seed ?? seed;
    const known = results?.systems.find((system) => system.name === name);
    arms.push({
      ...{ name, description: known?.description ?? settings.retriever, run: join(at, 'run.trec') },
      values: await readSystemValues(at),
      expansions: await expansionsOf(join(runFolder, 'expansions', set), settings.expansions),
    });
  }
  const compared = results?.comparison;
  if (results !== undefined) dataset.folders.push(...(await setFolder(results.suite, set)));
  return {
    arms,
    pair: compared && [compared.baseline, compared.system],
    ...{ measure: results?.measure ?? 'nDCG@10', seed, texts: undefined, relevant: undefined },
    dataset,
  };
}

async function readResults(file: string) {
  if (!(await isThere(file))) return undefined;
  const fix = 'Run `llm-qe benchmark` again; nothing is searched twice.';
  return readBoundedJson(file, resultsSchema, { what: 'the result of a benchmark', fix, mostBytes: MOST_JSON_BYTES });
}

/** A system that was searched with other settings before has several folders. */
async function lastSearches(folder: string): Promise<Map<string, Searched>> {
  const last = new Map<string, Searched>();
  for (const name of await foldersIn(folder)) {
    const at = join(folder, name);
    const record = await readRecord(at);
    if (record?.finished !== true) continue;
    const { mtimeMs: changedAt } = await stat(join(at, 'stage.json'));
    if (changedAt >= (last.get(record.stage)?.changedAt ?? 0))
      last.set(record.stage, { record, folder: at, changedAt });
  }
  return last;
}

function inOrder(searches: ReadonlyMap<string, Searched>, results: z.output<typeof resultsSchema> | undefined) {
  const place = (name: string) => results?.systems.findIndex((system) => system.name === name) ?? 0;
  return [...searches].sort(([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1));
}

/** The texts of a system, found by the hash that its search recorded. A file from elsewhere is not found. */
async function expansionsOf(folder: string, sha256: string | undefined): Promise<ArmFiles['expansions']> {
  if (sha256 === undefined) return noTexts;
  for (const key of await foldersIn(folder)) {
    const file = join(folder, key, 'expansions.jsonl');
    if ((await isThere(file)) && (await cachedSha256(file)) === sha256) return textsIn(file);
  }
  return noTexts;
}

/** Opens the file when a text is first asked for. */
export function textsIn(file: string): ArmFiles['expansions'] {
  let opened: Promise<ExpansionFile> | undefined;
  return async (query) => {
    opened ??= ExpansionFile.open(file);
    const texts = await opened.catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return texts.textsOf(query);
  };
}
