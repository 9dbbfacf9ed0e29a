import { z } from 'zod';
import { evenShare, formatShard, type Shard, shardSchema } from '../../distribute/index.ts';
import { type SuiteData, verdictLines } from '../../report/index.ts';
import {
  describeFailure,
  metaLines,
  parityBySet,
  planSuite,
  type SuitePlan,
  tableLegend,
  terminalTable,
} from '../../suites/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { duration, size } from '../print-plan.ts';
import {
  type ChosenSuite,
  chooseSuite,
  refuseFailures,
  type SuiteOptions,
  searchSets,
  searchSuite,
  suiteOptions,
  writeTables,
} from '../run-benchmark.ts';
import { textsOf } from '../suite-writer.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  ...suiteOptions,
  shard: shardSchema
    .optional()
    .describe(
      'search only this share of the sets, such as 2/3, in a folder that several machines share; the same command without it then writes the tables',
    )
    .meta({ valueName: 'N/ALL' }),
  plan: z.boolean().default(false).describe('estimate download, disk, texts and time; run nothing'),
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
    ['llm-qe benchmark beir15 --out runs/beir --plan', 'what that would download, write and take'],
    [
      'llm-qe benchmark beir15 --out runs/beir --shard 2/3',
      'a third of the sets, on a folder that three machines share',
    ],
    ['llm-qe benchmark suite.yaml --out runs/own --limit 50', 'your own collections, 50 queries of each'],
  ],
  async run(given, context) {
    const chosen = await chooseSuite(given);
    if (given.plan) return showPlan(chosen, given, context);
    if (given.shard !== undefined) return searchShard(chosen, given.shard, given, context);
    const { run, data } = await searchSuite(chosen, given, context);
    const report = await writeTables(data, given.out);
    context.json(toJson(data, report));
    if (!given.json) print(data, report, context);
    for (const failure of data.failures) context.warn(failure);
    refuseFailures(run, chosen);
  },
});

/** Searches a share of the sets. Their results are found by the command that writes the tables. */
async function searchShard(
  { suite, ...chosen }: ChosenSuite,
  shard: Shard,
  given: SuiteOptions,
  context: CommandContext,
): Promise<void> {
  const sets = evenShare(shard, suite.sets, ({ name }) => name);
  const own = { ...chosen, suite: { ...suite, sets } };
  const names = sets.map(({ name }) => name);
  const run = sets.length === 0 ? { sets: [], failures: [] } : await searchSets(own, given, context);
  const failures = run.failures.map(describeFailure);
  context.json({ shard: formatShard(shard), sets: names, failures });
  for (const failure of failures) context.warn(failure);
  refuseFailures(run, own);
  if (given.json) return;
  context.say(`finished shard ${formatShard(shard)}: ${names.join(', ') || 'no set'}`);
  context.say('When all shards are finished, run the same command without --shard.');
}

async function showPlan({ suite, systems }: ChosenSuite, given: SuiteOptions, context: CommandContext): Promise<void> {
  const { out, data, limit, seed } = given;
  const plan = await planSuite(suite, { systems, out, data, limit, seed, sizeOf: textsOf });
  const { disk } = plan;
  context.json({ ...plan, disk: typeof disk === 'string' ? disk : disk.message });
  const number = (value: number | null) => (value === null ? 'unknown' : value.toLocaleString('en-US'));
  const rowOf = (one: SuitePlan['total']) => [
    ...[number(one.documents), number(one.queries), number(one.texts), number(one.tokens)],
    ...[size(one.downloadBytes), size(one.diskBytes), duration(one.seconds)],
  ];
  const head = ['set', 'state', 'documents', 'queries', 'texts', 'max. tokens', 'download', 'disk', 'time'];
  const rows = plan.sets.map((set) => [set.set, set.begun > 0 ? `${set.state}, begun` : set.state, ...rowOf(set)]);
  context.say(formatTable(head, [...rows, ['total', '', ...rowOf(plan.total)]]));
  if (plan.unknown.length > 0) context.say(`not in the total, because unknown: ${plan.unknown.join('; ')}`);
  context.say(
    `time: embedding the corpus and writing the texts, estimated for two cores; finished parts are not subtracted`,
  );
  if (typeof disk !== 'string') throw disk;
  context.say(disk);
}

function toJson({ rows, means, overall, meta, parity, baseline }: SuiteData, report: string) {
  const measuresOf = (cells: Record<string, { measures: Record<string, number> }>) =>
    Object.fromEntries(Object.entries(cells).map(([system, { measures }]) => [system, measures]));
  const tests = rows.flatMap(({ name, cells }) =>
    Object.values(cells).flatMap(({ test }) => (test === undefined ? [] : [{ set: name, ...test }])),
  );
  return {
    sets: Object.fromEntries(rows.map(({ name, cells }) => [name, measuresOf(cells)])),
    mean: means[0]?.measures ?? {},
    tests: { sets: tests, overall, all: meta },
    parity: parityBySet(parity, baseline),
    report,
  };
}

function print(data: SuiteData, file: string, { say }: CommandContext): void {
  const { head, rows } = terminalTable(data);
  say(formatTable(head, rows));
  say(tableLegend(data));
  for (const line of verdictLines(data)) say(line);
  for (const { label, rows: names } of data.means) say(`${label}: ${names.join(', ')}`);
  for (const line of metaLines(data)) say(line);
  for (const { set, system, published, expected, got, verdict } of data.parity) {
    say(`parity: ${set}, ${system}: ${got.toFixed(4)}, published ${expected.toFixed(4)} (${published}): ${verdict}`);
  }
  for (const remark of data.remarks) say(remark);
  say(`report: ${file}; results.json, table.md, table.tex and table.csv are beside it`);
}
