import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { renderSuiteReport, type SuiteData } from '../report/index.ts';
import { combinationOptions, retrievalSettings } from '../retrieve/index.ts';
import {
  chooseSets,
  compareQueries,
  csvTable,
  findSuite,
  isExpanded,
  latexTable,
  markdownTable,
  parityOf,
  parseSystems,
  runSuite,
  SUITE_IN_WORDS,
  SUITE_MEASURES,
  type Suite,
  type SuiteRun,
  type SuiteSystem,
  type SystemTexts,
  summarize,
} from '../suites/index.ts';
import {
  counted,
  DataError,
  DEFAULT_SEED,
  makeFolder,
  refuseUnwritable,
  UsageError,
  writeDurably,
} from '../system/index.ts';
import type { CommandContext } from './command.ts';
import { SuiteWriter } from './suite-writer.ts';
import { expansionOptions } from './write-expansions.ts';

/** Options of every command that searches a suite. */
export const suiteOptions = {
  suite: z.string().describe(SUITE_IN_WORDS),
  out: z.string().describe('folder of the results').meta({ valueName: 'DIR' }),
  sets: z
    .string()
    .optional()
    .describe('comma-separated names: search only these sets of the suite')
    .meta({ valueName: 'LIST' }),
  system: z
    .array(z.string())
    .default([])
    .describe(
      'a column of the table: NAME=RETRIEVER,key=value with any option of search and language model as key (default: bm25, raw and expanded)',
    )
    .meta({ valueName: 'NAME=SPEC' }),
  baseline: z
    .string()
    .optional()
    .describe('the system that the others are compared with (default: raw, or else the first without expansions)')
    .meta({ valueName: 'NAME' }),
  measure: z
    .enum(SUITE_MEASURES as [string, ...string[]])
    .default('nDCG@10')
    .describe('measure of the table'),
  limit: z.coerce.number().int().positive().optional().describe('search a random sample of this many queries per set'),
  data: z.string().default('data').describe('folder of downloaded data sets').meta({ valueName: 'DIR' }),
  ...expansionOptions,
  ...retrievalSettings,
  ...combinationOptions,
  seed: z.coerce.number().int().min(0).default(DEFAULT_SEED).describe('seed of the texts, the samples and the tests'),
  json: z.boolean().default(false).describe('print one JSON document'),
};
const schema = z.object(suiteOptions);
export type SuiteOptions = z.output<typeof schema>;

/** A suite and the systems to search it with. */
export interface ChosenSuite {
  suite: Suite;
  systems: SuiteSystem[];
  baseline: string;
}

/** @param defaults the systems if neither the command line nor the suite's file names any */
export async function chooseSuite(given: SuiteOptions, defaults?: SystemTexts): Promise<ChosenSuite> {
  const names = given.sets?.split(',').map((name) => name.trim());
  const suite = chooseSets(await findSuite(given.suite), names);
  const systems = parseSystems(given.system, suite.systems ?? defaults, {
    retrieval: given,
    combination: { alpha: given.alpha, queryRepeats: given.queryRepeats },
    ...{ writer: given, writerShape: expansionOptions },
  });
  return { suite, systems, baseline: chooseBaseline(given.baseline ?? suite.baseline, systems) };
}

function chooseBaseline(wanted: string | undefined, systems: readonly SuiteSystem[]): string {
  const names = systems.map(({ name }) => name);
  if (wanted !== undefined && !names.includes(wanted)) {
    throw new UsageError(`no system is named ${wanted}`, { fix: `Pass --baseline with one of ${names.join(', ')}.` });
  }
  const raw = systems.find((system) => !isExpanded(system));
  return wanted ?? (names.includes('raw') ? 'raw' : (raw ?? systems[0]!).name);
}

/** Makes the folder of the results before anything is searched. @throws UsageError, ResourceError that names the folder */
async function openOut(out: string): Promise<void> {
  const folder = resolve(out);
  if (await isNoFolder(folder)) {
    throw new UsageError('--out is a file, not a folder', { file: folder, fix: 'Choose another folder.' });
  }
  await makeFolder(folder);
  await refuseUnwritable({ '--out': folder });
}

async function isNoFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === false;
}

/** Searches a suite. */
export async function searchSets(
  { suite, systems }: ChosenSuite,
  { out, data, limit, seed, offline }: SuiteOptions,
  context: CommandContext,
): Promise<SuiteRun> {
  await openOut(out);
  const writer = new SuiteWriter(context);
  try {
    const { signal, progress } = context;
    return await runSuite({ suite, systems, writer, out, data, limit, seed, offline, signal, progress });
  } finally {
    await writer.close();
  }
}

/** Searches a suite and compares its systems. */
export async function searchSuite(
  chosen: ChosenSuite,
  given: SuiteOptions,
  context: CommandContext,
): Promise<{ run: SuiteRun; data: SuiteData }> {
  const run = await searchSets(chosen, given, context);
  const { suite, systems, baseline } = chosen;
  const { data, limit, seed, measure } = given;
  const summary = summarize(run, { suite, systems, baseline, measure, limit, seed });
  // A sample of the queries has another score.
  const parity = limit === undefined ? parityOf(run, systems) : [];
  const comparison = await compareQueries(run, { systems, baseline, measure, data, seed });
  return { run, data: { ...summary, parity, comparison } };
}

/** Writes the tables, all numbers, and the page. @returns the page's file */
export async function writeTables(data: SuiteData, out: string): Promise<string> {
  const folder = resolve(out);
  await writeDurably(join(folder, 'table.md'), markdownTable(data));
  await writeDurably(join(folder, 'table.tex'), latexTable(data));
  await writeDurably(join(folder, 'table.csv'), csvTable(data));
  await writeDurably(join(folder, 'results.json'), `${JSON.stringify(data, null, 1)}\n`);
  const page = join(folder, 'report.html');
  await writeDurably(page, renderSuiteReport(data));
  return page;
}

/** @throws DataError if anything failed, after everything else was done */
export function refuseFailures({ failures }: SuiteRun, { suite, systems }: ChosenSuite): void {
  if (failures.length === 0) return;
  throw new DataError(
    `${counted(failures.length, 'failure')} in ${counted(suite.sets.length, 'set')} with ${counted(systems.length, 'system')}`,
    {
      fix: 'The table shows what was finished. Fix the faults above and run the same command again: nothing is repeated.',
    },
  );
}
