import { z } from 'zod';
import { BeirDataset, readExpansions, writeRun } from '../../data/index.ts';
import {
  type Arm,
  ChosenAlphaRetriever,
  chooseAlpha,
  compareArms,
  describeMissing,
  joinExpansions,
  loadTopics,
  millisecondsPerQuery,
  REPORTED_MEASURES,
  replaceQueries,
  runArm,
  TABLE_MEASURES,
  type Topics,
  type TunedData,
  tunedWarnings,
  verdictOn,
  withExpansions,
  withoutExpansions,
} from '../../evaluate/index.ts';
import type { Gate } from '../../gate/index.ts';
import { describeSelfRetrieval } from '../../measures/index.ts';
import { checkReportFile, type ExpansionFacts, readExpansionFacts, reportDataFile } from '../../report/index.ts';
import { type ChosenCombination, CorpusSearch, combinationOptions, retrievalSettings } from '../../retrieve/index.ts';
import { counted, DEFAULT_SEED, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles } from '../command-files.ts';
import { warnOfDefaultWriter } from '../default-writer.ts';
import { armsOf, describeWeight, type Evaluated, reportEvaluation } from '../evaluation-report.ts';
import { gateJson, gateWarnings, openGate, runGate, sayGate } from '../gated-evaluation.ts';
import { corpusOption, searchedCorpus } from '../index-changes.ts';
import { numberList } from '../number-list.ts';
import { comparisonTable, sayVerdict } from '../print-comparisons.ts';
import { checkRawRunFile, rawRunFile } from '../run-files.ts';
import { formatTable } from '../table.ts';
import { chooseCombination, describeIdleExpansions, withTunedTexts } from '../tuned-combination.ts';

/** The measure that is compared, and by which alpha is chosen. */
const MEASURE = 'nDCG@10';

const options = z.object({
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  corpus: corpusOption,
  retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('search method; rrf fuses the other two'),
  expansions: z
    .string()
    .optional()
    .describe('expansions.jsonl from `llm-qe expand`: search with expanded queries')
    .meta({ valueName: 'FILE' }),
  queries: z
    .string()
    .optional()
    .describe('another queries file, such as queries_q2d.jsonl, which contains expansions')
    .meta({ valueName: 'FILE' }),
  asIs: z
    .boolean()
    .default(false)
    .describe('with --expansions: search with the texts in place of the queries, as another program combined them'),
  split: z.string().default('test').describe('split whose queries are evaluated').meta({ valueName: 'NAME' }),
  limit: z.coerce.number().int().positive().optional().describe('evaluate a random sample of this many queries'),
  ...retrievalSettings,
  ...combinationOptions,
  seed: z.coerce.number().int().nonnegative().default(DEFAULT_SEED).describe('seed of the sample and of the tests'),
  alphas: numberList({ from: 0, to: 1, what: 'weights' })
    .optional()
    .describe(
      'comma-separated values to choose alpha from: on the development queries if the file of --dev-expansions or --expansions contains their expansions, otherwise by cross-validation over the evaluated queries',
    )
    .meta({ valueName: 'LIST' }),
  devExpansions: z
    .string()
    .optional()
    .describe('with --alphas: file with expansions of the development queries')
    .meta({ valueName: 'FILE' }),
  devSplit: z.string().default('dev').describe('with --alphas: the development split').meta({ valueName: 'NAME' }),
  gate: z
    .string()
    .optional()
    .describe('gate.json from `llm-qe gate train`: it decides query by query whether, and how much, to expand')
    .meta({ valueName: 'FILE' }),
  tuned: z
    .string()
    .optional()
    .describe('tuned.json from `llm-qe tune`: the combination that was chosen on development queries')
    .meta({ valueName: 'FILE' }),
  runOut: z
    .string()
    .optional()
    .describe(
      'write the run in TREC format; with expansions also the raw run, as <name>-raw in the same folder (with --feedback, as <name>-<feedback>)',
    )
    .meta({ valueName: 'FILE' }),
  report: z
    .string()
    .optional()
    .describe('write an HTML report; with expansions, it compares raw and expanded query by query')
    .meta({ valueName: 'FILE' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'evaluate',
  summary: 'search a data set and score the results against its judgements',
  description:
    'Searches for the judged queries of one split, with or without expansions, and prints nDCG, recall, MRR and MAP. A judged\nquery that finds nothing counts as zero. With expansions, the raw queries are searched too, and a verdict states the effect\nof expansion, with its confidence interval, p value, and the numbers of queries helped and hurt.',
  options,
  examples: [
    ['llm-qe evaluate --dataset data/scifact', 'dense search with the default encoder'],
    ['llm-qe evaluate --dataset data/scifact --retriever bm25 --json', "BM25 with Lucene's formula, as JSON"],
    [
      'llm-qe evaluate --dataset data/scifact --expansions expansions.jsonl --report report.html',
      'expanded against raw: a verdict, and a report',
    ],
    [
      'llm-qe evaluate --dataset data/scifact --expansions expansions.jsonl --alphas 0,.1,.2,.3,.4,.5,.6',
      'the same, with alpha chosen for this data, never on the query it is used for',
    ],
    [
      'llm-qe evaluate --dataset data/scifact --expansions expansions.jsonl --gate gate.json',
      'a gate beside never and always expanding, and an oracle',
    ],
  ],
  files({ dataset, expansions, devExpansions, queries, encoder, gate, tuned, runOut, report, feedback }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    const expands = expansions !== undefined || queries !== undefined;
    return {
      inputs: {
        ...{ ...inputs, '--expansions': expansions, '--dev-expansions': devExpansions, '--queries': queries },
        ...{ '--gate': gate, '--tuned': tuned },
        ...modelFiles('--encoder', encoder),
      },
      inputFolders,
      outputs: {
        '--run-out': runOut,
        'the run of the queries without expansions':
          runOut !== undefined && expands ? rawRunFile(runOut, baselineSuffix({ feedback })) : undefined,
        '--report': report,
        'the data of --report': report && reportDataFile(report),
      },
    };
  },
  async run(given, context) {
    const dataset = await BeirDataset.open(given.dataset);
    const chosen = await chooseCombination(given);
    const idle = describeIdleExpansions(chosen.tuned, given.tuned);
    if (idle !== undefined) context.warn(idle);
    const topics = withTunedTexts(await loadChosenTopics(dataset, given), chosen.tuned);
    const expanded = given.asIs || topics.queries.some(({ expansions }) => expansions.length > 0);
    if (given.report !== undefined) await checkReportFile(given.report);
    if (given.runOut !== undefined && expanded) await checkRawRunFile(rawRunFile(given.runOut, baselineSuffix(given)));
    refuseIdleAlphas(given, expanded);
    warnOfDefaultWriter(await readFacts(given), dataset, context);
    const { combination, tuned } = chosen;
    const gate = await openGate(given, expanded);
    const { signal, progress } = context;
    const corpus = await searchedCorpus(given, dataset);
    const search = new CorpusSearch(corpus, { ...given, ...combination }, { signal, progress });
    try {
      const found = await evaluate({ dataset, topics, search, expanded, combination, tuned, gate }, given, context);
      context.json(toJson(found, given));
      if (!given.json) print(found, given, context);
      await writeOutputs(dataset, found, given, context);
    } finally {
      await search.close();
    }
  },
});

async function evaluate(
  {
    dataset,
    topics,
    search,
    expanded,
    combination,
    tuned,
    gate,
  }: {
    dataset: BeirDataset;
    topics: Topics;
    search: CorpusSearch;
    expanded: boolean;
    combination: ChosenCombination;
    tuned: TunedData | undefined;
    gate: Gate | undefined;
  },
  given: Options,
  context: CommandContext,
): Promise<Evaluated> {
  const plain = await search.retriever(given.retriever);
  for (const words of tuned === undefined ? [] : tunedWarnings(tuned, plain, topics)) context.warn(words);
  for (const words of gate === undefined ? [] : gateWarnings(gate, plain, topics)) context.warn(words);
  const missing = await describeMissing(search, topics);
  if (missing !== undefined) context.warn(missing);
  const armOptions = armOptionsOf(given, context);
  const kind = given.retriever === 'bm25' ? undefined : given.retriever;
  const dev = given.alphas === undefined ? undefined : await loadDevTopics(dataset, given);
  const choice =
    given.alphas === undefined || kind === undefined
      ? undefined
      : await chooseAlpha(
          search,
          { dev, scored: topics },
          { ...given, kind, alphas: given.alphas, measure: MEASURE, signal: context.signal },
        );
  const retriever =
    choice === undefined || kind === undefined ? plain : await ChosenAlphaRetriever.open(search, kind, choice);
  const names = armNames(given, expanded, gate !== undefined);
  const arm = await runArm({ name: names.arm, description: given.retriever, retriever, topics }, armOptions);
  const rawPlan = {
    name: names.baseline,
    description: given.retriever,
    retriever: plain,
    topics: withoutExpansions(given.asIs ? await loadSplit(dataset, given) : topics),
  };
  const raw = expanded ? await runArm(rawPlan, armOptions) : undefined;
  const common = { raw, choice, combination, tuned };
  if (gate === undefined || raw === undefined) {
    return { ...common, arm, comparison: raw && compareArms(raw, arm, MEASURE, given.seed), gated: undefined };
  }
  const settings = { ...given, ...combination };
  const written = given.expansions === undefined ? undefined : new Set((await readExpansions(given.expansions)).keys());
  const gated = await runGate({ dataset, search, gate, never: raw, always: arm, settings, written }, given, context);
  const comparison = compareArms(raw, gated.gate, MEASURE, given.seed);
  return { ...common, arm: gated.gate, comparison, gated: { ...gated, always: arm } };
}

/** A search with feedback is no raw one, with or without expansions. */
function armNames({ feedback }: Options, expanded: boolean, gated: boolean): { baseline: string; arm: string } {
  const baseline = gated ? 'never' : 'raw';
  const arm = !expanded ? 'raw' : gated ? 'always' : 'expanded';
  if (feedback === undefined) return { baseline, arm };
  const named = (name: string) => (name === 'raw' ? feedback : `${name}, ${feedback}`);
  return { baseline: named(baseline), arm: named(arm) };
}

/** What the file of the run without expansions is named by. */
function baselineSuffix({ feedback }: Pick<Options, 'feedback'>): string {
  return feedback ?? 'raw';
}

function armOptionsOf(given: Options, { signal }: CommandContext) {
  return { depth: given.depth, dropSelf: !given.keepSelf, signal };
}

/** @throws UsageError if `--alphas` or `--dev-expansions` would have no effect */
function refuseIdleAlphas({ alphas, retriever, devExpansions }: Options, expanded: boolean): void {
  if (alphas === undefined) {
    if (devExpansions === undefined) return;
    throw new UsageError('--dev-expansions needs --alphas', {
      fix: 'Add --alphas, for example --alphas 0,.1,.2, or omit --dev-expansions.',
    });
  }
  if (!expanded)
    throw new UsageError('--alphas weights expansions, and there are none', { fix: 'Add --expansions FILE.' });
  if (retriever === 'bm25') {
    throw new UsageError('--alphas does not work with --retriever bm25, which has no alpha', { fix: 'Omit --alphas.' });
  }
}

/** Loads the development queries with their expansions. Returns undefined if there is no such split, or no file expands it. */
async function loadDevTopics(dataset: BeirDataset, given: Options): Promise<Topics | undefined> {
  const { devSplit, split, devExpansions, expansions } = given;
  const file = devExpansions ?? expansions;
  const isThere = devSplit !== split && (await dataset.splits()).includes(devSplit);
  if (!isThere && devExpansions === undefined) return undefined;
  if (file === undefined) return undefined;
  const dev = await loadTopics(dataset, devSplit, {});
  if (devExpansions !== undefined) return joinExpansions(dev, devExpansions);
  const written = await readExpansions(file);
  return dev.queries.every(({ id }) => written.has(id)) ? joinExpansions(dev, file) : undefined;
}

async function readFacts({ expansions }: Options): Promise<ExpansionFacts | undefined> {
  return expansions === undefined ? undefined : readExpansionFacts(expansions);
}

async function loadChosenTopics(dataset: BeirDataset, given: Options): Promise<Topics> {
  if (given.queries !== undefined && given.expansions !== undefined) {
    throw new UsageError('--queries and --expansions cannot be combined', { fix: 'Pass one of the two.' });
  }
  refuseIdleAsIs(given);
  const topics = await loadSplit(dataset, given);
  if (given.expansions === undefined) return given.queries === undefined ? withoutExpansions(topics) : topics;
  if (given.asIs) return replaceQueries(topics, given.expansions);
  // Queries that a gate leaves need no text; which these are is known after its searches.
  if (given.gate !== undefined) return withExpansions(topics, await readExpansions(given.expansions));
  return joinExpansions(topics, given.expansions);
}

function loadSplit(dataset: BeirDataset, { split, limit, seed, queries }: Options): Promise<Topics> {
  return loadTopics(dataset, split, { limit, seed, queriesFile: queries });
}

/** @throws UsageError if `--as-is` has nothing to read, or leaves another option without effect */
function refuseIdleAsIs({ asIs, expansions, alpha, queryRepeats, alphas, tuned, gate }: Options): void {
  if (!asIs) return;
  if (expansions === undefined) {
    throw new UsageError('--as-is needs --expansions', { fix: 'Add --expansions FILE, or omit --as-is.' });
  }
  const weights = { alpha, 'query-repeats': queryRepeats, alphas, tuned, gate };
  const idle = Object.entries(weights).find(([, value]) => value !== undefined);
  if (idle === undefined) return;
  throw new UsageError(`--as-is and --${idle[0]} cannot be combined: the texts are not combined with the queries`, {
    fix: 'Omit one of the two.',
  });
}

/** Writes the report and the runs. If one fails, the others are still written; then the first error is thrown. */
async function writeOutputs(
  dataset: BeirDataset,
  found: Evaluated,
  given: Options,
  context: CommandContext,
): Promise<void> {
  const { report: page, runOut, retriever } = given;
  const outputs: [what: string, file: string, make: () => Promise<void>][] = [];
  if (page !== undefined) outputs.push(['report', page, () => reportEvaluation(page, dataset, found, given, context)]);
  if (runOut !== undefined) {
    const { arm, raw } = found;
    outputs.push([`${arm.name} run`, runOut, () => writeRun(runOut, arm.retrieval.run, `llm-qe-${retriever}`)]);
    const name = baselineSuffix(given);
    const rawFile = rawRunFile(runOut, name);
    if (raw !== undefined) {
      const tag = `llm-qe-${retriever}-${name}`;
      outputs.push([`${raw.name} run`, rawFile, () => writeRun(rawFile, raw.retrieval.run, tag)]);
    }
  }
  const failures: unknown[] = [];
  for (const [what, file, make] of outputs) {
    const write = async () => {
      await make();
      if (!given.json) context.say(`${what}: ${file}`);
    };
    await write().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

function toJson(found: Evaluated, given: Options) {
  const { arm, raw, comparison, choice, combination, gated, tuned } = found;
  const measuresOf = (one: Arm) => Object.fromEntries(REPORTED_MEASURES.map((name) => [name, one.scores.mean[name]]));
  return {
    dataset: arm.topics.dataset,
    split: given.split,
    retriever: given.retriever,
    expanded: raw !== undefined,
    queries: arm.scores.queries,
    documents: arm.retriever.size,
    arm: arm.name,
    measures: measuresOf(arm),
    ...(raw !== undefined && {
      baseline: { name: raw.name, measures: measuresOf(raw) },
      ...(given.feedback === undefined && { raw: measuresOf(raw) }),
    }),
    ...(comparison !== undefined && { comparison: { ...comparison, verdict: verdictOn(comparison) } }),
    ...(raw !== undefined && { combination: { ...combination, ...(choice !== undefined && { alpha: choice.words }) } }),
    ...(choice !== undefined && { alpha: { chosenBy: choice.source, value: choice.words, points: choice.points } }),
    ...(gated !== undefined && { gate: gateJson(gated) }),
    ...(tuned !== undefined && { tuned: { ...tuned.best, dataset: tuned.dataset, split: tuned.split } }),
    settings: arm.retriever.settings,
    selfRetrieval: arm.selfRetrieval,
    notes: arm.retriever.notes,
    millisecondsPerQuery: millisecondsPerQuery(arm),
  };
}

/** Names the search: the retriever, with the fusion and the feedback that are not the default. */
function searchName({ retriever, fusion, fields, feedback }: Options): string {
  const isFused = retriever === 'rrf' && fusion !== 'rrf';
  const words = [isFused ? `${fusion} fusion` : retriever];
  if (retriever !== 'dense' && fields !== 'flat') words.push(fields);
  if (feedback !== undefined) words.push(`feedback ${feedback}`);
  return words.join(', ');
}

function print(found: Evaluated, given: Options, { say }: CommandContext): void {
  const { arm, comparison, gated } = found;
  if (comparison !== undefined) {
    sayVerdict(comparison, say);
    say('');
  }
  const rows = armsOf(found).map((one) => [
    one.name,
    ...TABLE_MEASURES.map((name) => (one.scores.mean[name] ?? 0).toFixed(4)),
  ]);
  say(`${arm.topics.dataset}, ${given.split} split, ${counted(arm.scores.queries, 'query')}, ${searchName(given)}`);
  say(formatTable(['', ...TABLE_MEASURES], rows));
  say(describeSelfRetrieval(arm.selfRetrieval));
  for (const note of arm.retriever.notes) say(note);
  if (comparison !== undefined) {
    say('');
    say(comparisonTable([comparison]));
    for (const sentence of describeWeight(found, given)) say(sentence);
  }
  if (gated !== undefined) sayGate(gated, arm.topics.dataset, say);
}
