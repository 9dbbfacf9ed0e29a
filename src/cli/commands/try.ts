import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { BeirDataset } from '../../data/index.ts';
import { MEASURES_IN_WORDS, REPORTED_MEASURES, TABLE_MEASURES, verdictOn } from '../../evaluate/index.ts';
import { armName, type RetrieverName, runTrial, TRIAL_ALPHAS, type TrialResult } from '../../pipeline/index.ts';
import { describeAlpha } from '../../report/index.ts';
import { DEFAULT_COMBINATION, retrievalSettings } from '../../retrieve/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { counted, shellWord, shortPath, UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { datasetFiles } from '../command-files.ts';
import { isDefaultWriter, warnOfDefaultWriter } from '../default-writer.ts';
import { numberList } from '../number-list.ts';
import { choosePrompt, generatorOptions, openGenerator, samplingOf } from '../open-generator.ts';
import { comparisonTable, sayVerdict } from '../print-comparisons.ts';
import { formatTable } from '../table.ts';

const RETRIEVERS: readonly RetrieverName[] = ['bm25', 'dense', 'rrf'];
const file = (description: string) => z.string().optional().describe(description).meta({ valueName: 'FILE' });
const { alpha: _chosenHere, ...searchOptions } = retrievalSettings;

const options = z.object({
  dataset: z.string().optional().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  corpus: file('instead of --dataset: the corpus, one {"_id", "title"?, "text"} per line'),
  queries: file('with --corpus: the queries, one {"_id", "text"} per line'),
  qrels: file('with --corpus: which documents are relevant, as BEIR TSV or TREC qrels'),
  devQrels: file('with --corpus: judgements of other queries, to choose alpha on'),
  split: z.string().default('test').describe('split whose queries are evaluated').meta({ valueName: 'NAME' }),
  devSplit: z
    .string()
    .default('dev')
    .describe('split to choose alpha on; if it does not exist, alpha is chosen by cross-validation')
    .meta({ valueName: 'NAME' }),
  limit: z.coerce.number().int().min(2).default(200).describe('maximum number of queries per split, sampled at random'),
  retriever: z
    .array(z.enum(RETRIEVERS as ['bm25', 'dense', 'rrf']))
    .min(1)
    .default([...RETRIEVERS])
    .describe('search methods')
    .meta({ valueName: 'bm25|dense|rrf' }),
  alphas: numberList({ from: 0, to: 1, what: 'weights' })
    .prefault(TRIAL_ALPHAS.join(','))
    .describe('comma-separated values to choose alpha, the weight of the expansion, from')
    .meta({ valueName: 'LIST' }),
  measure: z
    .enum(REPORTED_MEASURES as [string, ...string[]])
    .default('nDCG@10')
    .describe(`measure to compare: ${MEASURES_IN_WORDS}`)
    .meta({ valueName: 'NAME' }),
  ...generatorOptions,
  maxTokens: generatorOptions.maxTokens.default(128),
  ...searchOptions,
  out: z
    .string()
    .optional()
    .describe('folder of the trial (default: runs/try-<name of the data>)')
    .meta({ valueName: 'DIR' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'try',
  summary: 'does expansion help on your data, with your LLM? one command, one verdict',
  description:
    "The LLM writes expansions for your judged queries. BM25, dense search and their fusion search for the raw and the expanded\nqueries. Alpha is chosen on development queries or by cross-validation, never on the query it is used for. Paired tests with\nHolm's correction compare the results. Prints a verdict, the times and the tokens, and writes a report. If interrupted, the\nsame command resumes. The key in OPENAI_API_KEY is sent to servers.",
  options,
  examples: [
    ['llm-qe try --dataset data/scifact --generator http://localhost:8000', 'a data set, and the model on a server'],
    [
      'llm-qe try --corpus docs.jsonl --queries queries.jsonl --qrels qrels.tsv --generator ./model.gguf',
      'your own files, and any GGUF model',
    ],
    ['llm-qe try --dataset data/scifact --generator llama-3-8b-instruct-gguf --limit 60', 'a quick look on 60 queries'],
  ],
  files({ dataset, corpus, queries, qrels, devQrels, out }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    const loose = { '--corpus': corpus, '--queries': queries, '--qrels': qrels, '--dev-qrels': devQrels };
    const folder = out ?? folderFor(dataset ?? corpus);
    const outputs = Object.fromEntries(
      ['report.html', 'report.json'].map((name) => [`${name} of --out`, folder && join(folder, name)]),
    );
    return { inputs: { ...inputs, ...loose }, inputFolders, outputs };
  },
  async run(given, context) {
    const dataset = await openData(given);
    const folder = given.out ?? folderFor(given.dataset ?? given.corpus)!;
    const [generator] = given.generator;
    warnOfDefaultWriter({ generator, adapters: given.adapter }, dataset, context);
    const result = await runTrial(
      {
        ...{
          dataset,
          folder,
          adapters: given.adapter,
          retrieval: { ...given, alpha: DEFAULT_COMBINATION.alpha },
          prompt: await choosePrompt(given),
        },
        ...{
          split: given.split,
          devSplit: given.devSplit,
          limit: given.limit,
          retrievers: [...new Set(given.retriever)],
        },
        ...{ alphas: given.alphas, measure: given.measure, samples: given.samples, seed: given.seed },
        sampling: samplingOf(given),
        openGenerator: () => openGenerator(withoutShared(given), context),
      },
      { signal: context.signal, progress: context.progress },
    );
    context.json(toJson(result, given));
    if (!given.json) print(result, given, context.say);
  },
});

/** Returns the generator's options. --threads also applies to the encoder, so a server does not refuse it here. */
function withoutShared(given: Options) {
  return { ...given, threads: given.generator.some(isServerAddress) ? undefined : given.threads };
}

/** Returns `runs/try-docs` for `docs.jsonl`, `runs/try-scifact` for the folder `scifact`. */
function folderFor(data: string | undefined): string | undefined {
  return data && join('runs', `try-${basename(resolve(data)).replace(/\.jsonl(\.gz)?$/, '')}`);
}

async function openData({ dataset, corpus, queries, qrels, devQrels, split, devSplit }: Options): Promise<BeirDataset> {
  const loose = { corpus, queries, qrels, 'dev-qrels': devQrels };
  const named = Object.entries(loose).filter(([, path]) => path !== undefined);
  if (dataset !== undefined) {
    if (named.length === 0) return BeirDataset.open(dataset);
    throw new UsageError(`--dataset and --${named[0]![0]} cannot be combined`, {
      fix: 'Pass either the folder or the files.',
    });
  }
  if (corpus !== undefined && queries !== undefined && qrels !== undefined) {
    const judged = { [split]: qrels, ...(devQrels !== undefined && { [devSplit]: devQrels }) };
    return BeirDataset.ofFiles({ corpus, queries, qrels: judged });
  }
  throw new UsageError('no data given', {
    fix: 'Pass --dataset DIR, or the three files --corpus FILE --queries FILE --qrels FILE.',
  });
}

function toJson(
  { arms, comparisons, alphas, latencies, notes, cost, expansionsFile, reportFile }: TrialResult,
  given: Options,
) {
  return {
    queries: arms[0]!.scores.queries,
    documents: arms[0]!.retriever.size,
    measure: given.measure,
    verdict: verdictOn(comparisons[0]!),
    comparisons: comparisons.map((one) => ({ ...one, verdict: verdictOn(one).name })),
    arms: Object.fromEntries(
      arms.map(({ name, scores }) => [
        name,
        {
          ...Object.fromEntries(TABLE_MEASURES.map((one) => [one, scores.mean[one]])),
          milliseconds: latencies.get(name),
        },
      ]),
    ),
    alphas: Object.fromEntries(
      [...alphas].map(([name, { words, source, points }]) => [name, { value: words, chosenBy: source, points }]),
    ),
    ...{ notes, cost, expansions: expansionsFile, report: reportFile },
  };
}

function print(result: TrialResult, given: Options, say: (line: string) => void): void {
  const { arms, comparisons, alphas, latencies, notes, cost, reportFile } = result;
  const [main] = comparisons;
  say('');
  sayVerdict(main!, say);
  say(`\n${counted(arms[0]!.scores.queries, 'query')} over ${counted(arms[0]!.retriever.size, 'document')}`);
  const measures = [...new Set([given.measure, ...TABLE_MEASURES])];
  const rows = arms.map(({ name, scores }) => [
    name,
    ...measures.map((one) => (scores.mean[one] ?? 0).toFixed(4)),
    (latencies.get(name) ?? 0).toFixed(1),
  ]);
  say(formatTable(['', ...measures, 'ms per query'], rows));
  say('');
  say(comparisonTable(comparisons));
  for (const [name, { words, source }] of alphas) say(`${name}: ${describeAlpha(words, source)}`);
  for (const note of notes) say(note);
  const [before, after] = [latencies.get(main!.baseline) ?? 0, latencies.get(main!.arm) ?? 0];
  say(
    `\ncost per query: the LLM wrote ${cost.completionTokens.toFixed(0)} tokens (prompt ${cost.promptTokens.toFixed(0)}) in ` +
      `${cost.generationMilliseconds.toFixed(0)} ms, several queries in parallel; search took ${before.toFixed(1)} ms without and ${after.toFixed(1)} ms with the expansion`,
  );
  say(`advice: ${adviceOn(result, given)}`);
  say(`report: ${shortPath(reportFile)}`);
}

/** Returns what to do next, given the verdict. */
function adviceOn({ comparisons, expansionsFile, alphas, facts }: TrialResult, given: Options): string {
  const [main] = comparisons;
  const better = isDefaultWriter(facts)
    ? 'try a larger LLM: --generator llama-3-8b-instruct-gguf, another .gguf file, or a server'
    : 'try another prompt (--task q2e, or --prompt FILE), a larger LLM, or align this one (llm-qe align)';
  switch (verdictOn(main!).kind) {
    case 'few':
      return `evaluate more queries (raise --limit, or add judgements) before you decide`;
    case 'gain': {
      const alpha = [...alphas].find(([name]) => armName(name, true, given) === main!.arm)?.[1].words;
      const weigh = alpha === undefined ? '' : ` with alpha ${alpha}`;
      return `use expansions${weigh}; this trial's are in ${shellWord(shortPath(expansionsFile))}`;
    }
    case 'loss':
      return `do not use these expansions; ${better}`;
    default:
      return `as it is, expansion is not worth the LLM's time; ${better}`;
  }
}
