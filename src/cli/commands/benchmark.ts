import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { SuiteData } from '../../report/index.ts';
import { combinationOptions, retrievalSettings } from '../../retrieve/index.ts';
import {
  chooseSets,
  csvTable,
  findSuite,
  latexTable,
  markdownTable,
  parityBySet,
  parityOf,
  parseSystems,
  runSuite,
  SUITE_IN_WORDS,
  SUITE_MEASURES,
  type Suite,
  type SuiteSystem,
  summarize,
  tableLegend,
  terminalTable,
} from '../../suites/index.ts';
import { counted, DataError, DEFAULT_SEED, UsageError, writeDurably } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { generatorOptions } from '../open-generator.ts';
import { SuiteWriter } from '../suite-writer.ts';
import { formatTable } from '../table.ts';

const options = z.object({
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
  ...generatorOptions,
  ...retrievalSettings,
  ...combinationOptions,
  seed: z.coerce.number().int().min(0).default(DEFAULT_SEED).describe('seed of the texts, the samples and the tests'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

/** `llm-qe benchmark`. */
export const command = defineCommand({
  name: 'benchmark',
  summary: 'search all collections of a suite with several systems, and compare them in one table',
  description:
    'Searches each set with each system, scores it, and tests the differences from the baseline, corrected over the sets. Writes\ntables in Markdown, LaTeX and CSV, results.json, and a TREC run of everything. Only judged queries are expanded. A set that fails\nis reported, and does not stop the others. If interrupted, the same command resumes and repeats nothing.',
  arguments: [{ key: 'suite', required: true }],
  options,
  examples: [
    ['llm-qe benchmark beir15 --out runs/beir', 'BM25, raw and expanded dense search on all sets of BEIR'],
    [
      'llm-qe benchmark beir:scifact,nfcorpus --out runs/two --system bm25=bm25 --system raw=dense --system half=dense,task=q2d,alpha=0.3',
      'two sets and three systems',
    ],
    ['llm-qe benchmark suite.yaml --out runs/own --limit 50', 'your own collections, 50 queries of each'],
  ],
  async run(given, context) {
    const suite = chooseSets(
      await findSuite(given.suite),
      given.sets?.split(',').map((name) => name.trim()),
    );
    const systems = parseSystems(given.system, suite.systems, {
      retrieval: given,
      combination: { alpha: given.alpha, queryRepeats: given.queryRepeats },
      writer: given,
      writerShape: generatorOptions,
    });
    const baseline = chooseBaseline(given.baseline ?? suite.baseline, systems);
    const writer = new SuiteWriter(context);
    try {
      const { out, data, limit, seed, offline } = given;
      const { signal, progress } = context;
      const run = await runSuite({ suite, systems, writer, out, data, limit, seed, offline, signal, progress });
      const summary = summarize(run, { suite, systems, baseline, measure: given.measure, limit, seed });
      // A sample of the queries has another score.
      const parity = limit === undefined ? parityOf(run, systems) : [];
      const result: SuiteData = { ...summary, parity };
      const file = await writeTables(result, out);
      context.json(toJson(result, file));
      print(result, file, context);
      refuseFailures(run.failures.length, suite, systems);
    } finally {
      await writer.close();
    }
  },
});

function chooseBaseline(wanted: string | undefined, systems: readonly SuiteSystem[]): string {
  const names = systems.map(({ name }) => name);
  if (wanted !== undefined && !names.includes(wanted)) {
    throw new UsageError(`no system is named ${wanted}`, { fix: `Pass --baseline with one of ${names.join(', ')}.` });
  }
  const raw = systems.find(({ writer, expansions }) => writer === undefined && expansions === undefined);
  return wanted ?? (names.includes('raw') ? 'raw' : (raw ?? systems[0]!).name);
}

/** @returns the file of all results */
async function writeTables(data: SuiteData, out: string): Promise<string> {
  const folder = resolve(out);
  const results = join(folder, 'results.json');
  await writeDurably(join(folder, 'table.md'), markdownTable(data));
  await writeDurably(join(folder, 'table.tex'), latexTable(data));
  await writeDurably(join(folder, 'table.csv'), csvTable(data));
  await writeDurably(results, `${JSON.stringify(data, null, 1)}\n`);
  return results;
}

function toJson({ rows, means, meta, parity, baseline }: SuiteData, report: string) {
  const measuresOf = (cells: Record<string, { measures: Record<string, number> }>) =>
    Object.fromEntries(Object.entries(cells).map(([system, { measures }]) => [system, measures]));
  const tests = rows.flatMap(({ name, cells }) =>
    Object.values(cells).flatMap(({ test }) => (test === undefined ? [] : [{ set: name, ...test }])),
  );
  return {
    sets: Object.fromEntries(rows.map(({ name, cells }) => [name, measuresOf(cells)])),
    mean: means[0]?.measures ?? {},
    tests: { sets: tests, all: meta },
    parity: parityBySet(parity, baseline),
    report,
  };
}

function print(data: SuiteData, file: string, { say, warn }: CommandContext): void {
  const { head, rows } = terminalTable(data);
  say(formatTable(head, rows));
  say(tableLegend(data));
  for (const { label, rows: names } of data.means) say(`${label}: ${names.join(', ')}`);
  for (const { system, effect, interval, p, studies, iSquared } of data.meta) {
    say(
      `${system} against ${data.baseline} over ${counted(studies, 'set')} (random effects): ${signed(effect)}, 95 % interval ` +
        `${signed(interval.low)} to ${signed(interval.high)}, p ${p.toFixed(4)}; the sets differ by more than chance in ${(100 * iSquared).toFixed(0)} % of the spread`,
    );
  }
  for (const { set, system, published, expected, got, verdict } of data.parity) {
    say(`parity: ${set}, ${system}: ${got.toFixed(4)}, published ${expected.toFixed(4)} (${published}): ${verdict}`);
  }
  for (const remark of data.remarks) say(remark);
  for (const failure of data.failures) warn(failure);
  say(`results: ${file}, and table.md, table.tex, table.csv beside it`);
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
}

function refuseFailures(failures: number, { sets }: Suite, systems: readonly SuiteSystem[]): void {
  if (failures === 0) return;
  throw new DataError(
    `${counted(failures, 'failure')} in ${counted(sets.length, 'set')} with ${counted(systems.length, 'system')}`,
    {
      fix: 'The table shows what was finished. Fix the faults above and run the same command again: nothing is repeated.',
    },
  );
}
