import { z } from 'zod';
import { BeirDataset, readExpansions, writeRun } from '../../data/index.ts';
import {
  type Arm,
  type ArmOptions,
  compareArms,
  joinExpansions,
  loadTopics,
  millisecondsPerQuery,
  REPORTED_MEASURES,
  runArm,
  TABLE_MEASURES,
  type Topics,
  withoutExpansions,
} from '../../evaluate/index.ts';
import { describeSelfRetrieval } from '../../measures/index.ts';
import {
  buildReport,
  checkReportFile,
  describeCost,
  describeSettings,
  reportDataFile,
  writeReport,
} from '../../report/index.ts';
import { CorpusSearch, retrievalSettings } from '../../retrieve/index.ts';
import { UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles } from '../command-files.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('what searches; rrf fuses the other two'),
  expansions: z
    .string()
    .optional()
    .describe('expansions.jsonl of `llm-qe expand`: queries are searched expanded')
    .meta({ valueName: 'FILE' }),
  queries: z
    .string()
    .optional()
    .describe("another queries file of the data set, such as BEIR's queries_q2d.jsonl with its expansions")
    .meta({ valueName: 'FILE' }),
  split: z.string().default('test').describe('split whose judgements count').meta({ valueName: 'NAME' }),
  limit: z.coerce.number().int().positive().optional().describe('evaluate a seeded sample of this many queries'),
  ...retrievalSettings,
  seed: z.coerce.number().int().nonnegative().default(42).describe('seed of samples and of randomised tests'),
  runOut: z.string().optional().describe("write the run in TREC's format").meta({ valueName: 'FILE' }),
  report: z
    .string()
    .optional()
    .describe('write an HTML report: with expansions, raw against expanded, query by query')
    .meta({ valueName: 'FILE' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'evaluate',
  summary: 'search a data set and score the result against its judgements',
  description:
    'Searches the judged queries of one split, with or without expansions, and prints nDCG, recall, MRR and MAP. A judged\nquery that finds nothing counts as zero.',
  options,
  examples: [
    ['llm-qe evaluate --dataset data/scifact', 'dense search with the default encoder'],
    ['llm-qe evaluate --dataset data/scifact --retriever bm25 --json', 'BM25 as Lucene has it, as JSON'],
    [
      'llm-qe evaluate --dataset data/scifact --expansions expansions.jsonl --report report.html',
      'expanded against raw, with a report',
    ],
  ],
  files({ dataset, expansions, queries, runOut, report }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    const data = report === undefined ? undefined : reportDataFile(report);
    return {
      inputs: { ...inputs, '--expansions': expansions, '--queries': queries },
      inputFolders,
      outputs: { '--run-out': runOut, '--report': report, 'the data of --report': data },
    };
  },
  async run(given, context) {
    const dataset = await BeirDataset.open(given.dataset);
    if (given.report !== undefined) await checkReportFile(given.report);
    const topics = await loadChosenTopics(dataset, given);
    const search = new CorpusSearch(dataset, given, { signal: context.signal, progress: context.progress });
    try {
      const retriever = await search.retriever(given.retriever);
      await warnOfMissing(search, topics, context);
      const expanded = topics.queries.some(({ expansions }) => expansions.length > 0);
      const name = expanded ? 'expanded' : 'raw';
      const armOptions = { depth: given.depth, dropSelf: !given.keepSelf, signal: context.signal };
      const arm = await runArm({ name, description: given.retriever, retriever, topics }, armOptions);
      const raw = await rawArm(arm, armOptions, expanded && given.report !== undefined);
      print(arm, raw, given, context);
      await inTurn([
        async () => {
          if (given.report === undefined) return;
          await report(given.report, dataset, arm, raw, given, context);
          if (!given.json) context.say(`report: ${given.report}`);
        },
        async () => {
          if (given.runOut === undefined) return;
          await writeRun(given.runOut, arm.retrieval.run, `llm-qe-${given.retriever}`);
        },
      ]);
    } finally {
      await search.close();
    }
  },
});

/** A relevant document that is not in the corpus can never be found: the scores are then lower than they should be. */
async function warnOfMissing(search: CorpusSearch, { qrels, split }: Topics, context: CommandContext): Promise<void> {
  const relevant = [...qrels.values()].flatMap((grades) => [...grades].filter(([, grade]) => grade > 0));
  const missing = await search.missingDocuments(new Set(relevant.map(([id]) => id)));
  if (missing.length === 0) return;
  context.warn(
    `${missing.length} relevant documents of split ${split} are not in the corpus (such as ${JSON.stringify(missing[0])}); ` +
      'they count as never found. `llm-qe data check` lists them.',
  );
}

async function loadChosenTopics(dataset: BeirDataset, given: Options): Promise<Topics> {
  if (given.queries !== undefined && given.expansions !== undefined) {
    throw new UsageError('--queries and --expansions both name expansions', { fix: 'Give one of the two.' });
  }
  const topics = await loadTopics(dataset, given.split, {
    limit: given.limit,
    seed: given.seed,
    queriesFile: given.queries,
  });
  if (given.expansions !== undefined) return joinExpansions(topics, given.expansions);
  return given.queries === undefined ? withoutExpansions(topics) : topics;
}

async function rawArm(arm: Arm, armOptions: ArmOptions, wanted: boolean): Promise<Arm | undefined> {
  if (!wanted) return undefined;
  return runArm({ ...arm, name: 'raw', topics: withoutExpansions(arm.topics) }, armOptions);
}

async function report(
  file: string,
  dataset: BeirDataset,
  arm: Arm,
  raw: Arm | undefined,
  given: Options,
  { signal }: CommandContext,
): Promise<void> {
  const expansions =
    given.expansions === undefined ? [] : [...(await readExpansions(given.expansions)).values()].flat();
  const data = await buildReport({
    title: raw === undefined ? `Evaluation on ${dataset.name}` : `What expansion did on ${dataset.name}`,
    dataset: {
      name: dataset.name,
      split: given.split,
      documents: arm.retriever.size,
      queries: arm.topics.queries.length,
    },
    arms: raw === undefined ? [arm] : [raw, arm],
    comparisons: raw === undefined ? [] : [compareArms(raw, arm, 'nDCG@10', given.seed)],
    baseline: raw,
    expanded: arm,
    documents: dataset.documents(signal),
    cost: raw === undefined || expansions.length === 0 ? undefined : describeCost(expansions, arm),
    settings: await describeSettings(dataset, [arm], expansions, given.seed),
    remarks: [],
  });
  await writeReport(file, data);
}

function print(arm: Arm, raw: Arm | undefined, given: Options, context: CommandContext): void {
  context.json({
    dataset: arm.topics.dataset,
    split: given.split,
    retriever: given.retriever,
    expanded: arm.name === 'expanded',
    queries: arm.scores.queries,
    documents: arm.retriever.size,
    measures: Object.fromEntries(REPORTED_MEASURES.map((name) => [name, arm.scores.mean[name]])),
    settings: arm.retriever.settings,
    selfRetrieval: arm.selfRetrieval,
    millisecondsPerQuery: millisecondsPerQuery(arm),
  });
  if (given.json) return;
  const rows = (raw === undefined ? [arm] : [raw, arm]).map((one) => [
    one.name,
    ...TABLE_MEASURES.map((name) => (one.scores.mean[name] ?? 0).toFixed(4)),
  ]);
  context.say(`${arm.topics.dataset}, ${given.split} split, ${arm.scores.queries} queries, ${given.retriever}`);
  context.say(formatTable(['', ...TABLE_MEASURES], rows));
  context.say(describeSelfRetrieval(arm.selfRetrieval));
}

/** Makes every output, also behind one that fails; then throws what failed first. */
async function inTurn(outputs: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const output of outputs) await output().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
