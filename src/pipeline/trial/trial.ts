import { join } from 'node:path';
import { type BeirDataset, type Expansion, readExpansions, writeRun } from '../../data/index.ts';
import {
  type AlphaChoice,
  type Arm,
  ChosenAlphaRetriever,
  type CorrectedComparison,
  chooseAlpha,
  joinExpansions,
  loadTopics,
  measureLatencies,
  pairedTests,
  runArm,
  type Topics,
  withoutExpansions,
} from '../../evaluate/index.ts';
import { expandQueries, type Generator, type PromptTemplate, type Sampling } from '../../generate/index.ts';
import {
  buildReport,
  checkReportFile,
  describeAlpha,
  describeCost,
  describeExpansions,
  describeNoise,
  describeSample,
  describeSettings,
  type ExpansionFacts,
  expansionSettings,
  type ReportData,
  writeReport,
} from '../../report/index.ts';
import { CorpusSearch, checkFeedback, type RetrievalSettings, type Retriever } from '../../retrieve/index.ts';
import { type Progress, SILENT } from '../../system/index.ts';

export type RetrieverName = Retriever['name'];

/** The default alphas to try. */
export const TRIAL_ALPHAS: readonly number[] = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

export interface TrialSettings {
  dataset: BeirDataset;
  split: string;
  /** The split on which alpha is chosen, if it exists and is not the scored split. */
  devSplit: string;
  /** Maximum number of queries per split, a seeded sample. */
  limit: number | undefined;
  /** Folder of expansions, runs and the report. */
  folder: string;
  retrievers: readonly RetrieverName[];
  retrieval: RetrievalSettings;
  alphas: readonly number[];
  /** The measure for comparisons and the choice of alpha: nDCG@10. */
  measure: string;
  prompt: PromptTemplate;
  sampling: Sampling;
  /** Expansions per query. */
  samples: number;
  seed: number;
  /** LoRA adapters of the LLM, for the report. */
  adapters: readonly string[];
  /** Opens the LLM, which is closed when all texts are written. */
  openGenerator(): Promise<Generator>;
}

export interface TrialOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface TrialResult {
  arms: Arm[];
  /** Expanded against raw per retriever, starting with the one that is best without expansions. */
  comparisons: CorrectedComparison[];
  /** By retriever; BM25 has none. */
  alphas: Map<RetrieverName, AlphaChoice>;
  /** Median milliseconds of one query, by the names of the arms, without the LLM. */
  latencies: Map<string, number>;
  cost: NonNullable<ReportData['cost']>;
  facts: ExpansionFacts;
  /** What the reader of the results must know about the search, such as documents that are cut. */
  notes: string[];
  expansionsFile: string;
  reportFile: string;
  resultFile: string;
}

/**
 * Answers whether expansion with this LLM helps on this data. The LLM expands the queries, all retrievers search them
 * raw and expanded, alpha is chosen on dev queries or by cross-validation, paired tests with Holm's correction compare
 * the arms, and a report shows the result. Expansions are journalled and vectors are cached, so a stopped trial
 * resumes.
 */
export async function runTrial(settings: TrialSettings, options: TrialOptions = {}): Promise<TrialResult> {
  const { dataset, retrieval, retrievers, folder } = settings;
  for (const name of retrievers) checkFeedback(retrieval, name);
  const reportFile = join(folder, 'report.html');
  await checkReportFile(reportFile);
  const raw = withoutExpansions(await topicsOf(settings, settings.split));
  const rawDev = await devTopics(settings);
  const { test, dev, generator, expansions, expansionsFile } = await write(settings, raw, rawDev, options);
  const search = new CorpusSearch(dataset, retrieval, options);
  try {
    const { arms, alphas } = await searchAll(search, { raw, test, dev }, settings, options);
    const comparisons = compareAll(arms, settings);
    const latencies = await measureLatencies(arms, armOptions(settings, options));
    const facts = factsOf(settings, generator);
    const cost = describeCost(expansions, { topics: test });
    const notes = [...new Set(arms.flatMap(({ retriever }) => retriever.notes))];
    const partial = { arms, comparisons, alphas, latencies, cost, facts, notes, expansionsFile, reportFile };
    const result = { ...partial, resultFile: join(folder, 'report.json') };
    for (const arm of arms) {
      const tag = arm.name.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase();
      await writeRun(join(folder, 'runs', `${tag}.run`), arm.retrieval.run, `llm-qe-${tag}`);
    }
    await writeReport(reportFile, await reportOf(result, expansions, settings, options));
    return result;
  } finally {
    await search.close();
  }
}

/** The name of an arm: `dense` and `dense + expansion`. */
export function armName(
  retriever: RetrieverName,
  expanded: boolean,
  { fusion }: Pick<RetrievalSettings, 'fusion'>,
): string {
  const fused = fusion === 'rrf' ? 'RRF' : `${fusion} fusion`;
  const name = retriever === 'bm25' ? 'BM25' : retriever === 'rrf' ? fused : retriever;
  return expanded ? `${name} + expansion` : name;
}

function topicsOf({ dataset, limit, seed }: TrialSettings, split: string): Promise<Topics> {
  return loadTopics(dataset, split, { limit, seed });
}

async function devTopics(settings: TrialSettings): Promise<Topics | undefined> {
  const { dataset, split, devSplit, retrievers } = settings;
  const isWanted = devSplit !== split && retrievers.some((name) => name !== 'bm25');
  if (!isWanted || !(await dataset.splits()).includes(devSplit)) return undefined;
  return withoutExpansions(await topicsOf(settings, devSplit));
}

/** Lets the LLM expand both splits; texts in the journals are not written again. */
async function write(settings: TrialSettings, test: Topics, dev: Topics | undefined, options: TrialOptions) {
  const { prompt, sampling, samples, seed, folder } = settings;
  const generator = await settings.openGenerator();
  try {
    const expand = async (topics: Topics, name: string) => {
      const out = join(folder, name, 'expansions.jsonl');
      const { files } = await expandQueries({
        ...{ queries: topics.queries, generator, prompt, sampling, samples, seed, out },
        // The folder belongs to the trial; its journal keeps the texts of other settings.
        force: true,
        ...options,
      });
      return files.expansions;
    };
    const devFile = dev && (await expand(dev, 'dev'));
    const expansionsFile = await expand(test, 'test');
    const expansions: Expansion[] = [...(await readExpansions(expansionsFile)).values()].flat();
    return {
      test: await joinExpansions(test, expansionsFile),
      dev: dev && (await joinExpansions(dev, devFile!)),
      ...{ generator: generator.id, expansions, expansionsFile },
    };
  } finally {
    await generator.close();
  }
}

function armOptions({ retrieval }: TrialSettings, { signal }: TrialOptions) {
  return { depth: retrieval.depth, dropSelf: !retrieval.keepSelf, signal };
}

/** Searches and scores with each retriever, raw and expanded. */
async function searchAll(
  search: CorpusSearch,
  { raw, test, dev }: { raw: Topics; test: Topics; dev: Topics | undefined },
  settings: TrialSettings,
  options: TrialOptions,
) {
  const { retrievers, retrieval, alphas: tried, measure, seed } = settings;
  const { signal, progress = SILENT } = options;
  const arms: Arm[] = [];
  const alphas = new Map<RetrieverName, AlphaChoice>();
  const task = progress.task('searching and scoring', 2 * retrievers.length, 'searches');
  for (const name of retrievers) {
    const plain = await search.retriever(name);
    const add = async (retriever: Retriever, topics: Topics, description: string) => {
      const plan = { name: armName(name, topics === test, retrieval), description, retriever, topics };
      arms.push(await runArm(plan, armOptions(settings, options)));
      task.advance();
    };
    await add(plain, raw, 'raw queries');
    if (name === 'bm25') {
      await add(plain, test, 'query repeated, then the expansion');
      continue;
    }
    const { depth, keepSelf } = retrieval;
    const how = { kind: name, alphas: tried, measure, depth, keepSelf, seed, signal };
    const choice = await chooseAlpha(search, { dev, scored: test }, how);
    alphas.set(name, choice);
    await add(await ChosenAlphaRetriever.open(search, name, choice), test, `alpha ${choice.words}`);
  }
  task.done();
  return { arms, alphas };
}

function compareAll(
  arms: readonly Arm[],
  { retrievers, retrieval, measure, seed }: TrialSettings,
): CorrectedComparison[] {
  const values = new Map(
    arms.map(({ name, scores }) => [name, new Map([...scores.perQuery].map(([id, all]) => [id, all[measure] ?? 0]))]),
  );
  const rawScore = (name: RetrieverName) =>
    arms.find((arm) => arm.name === armName(name, false, retrieval))!.scores.mean[measure]!;
  const bestFirst = [...retrievers].sort((a, b) => rawScore(b) - rawScore(a));
  const pairs = bestFirst.map((name) => [armName(name, true, retrieval), armName(name, false, retrieval)] as const);
  return pairedTests(values, pairs, { measure, seed });
}

function factsOf({ adapters, prompt, sampling, samples, seed }: TrialSettings, generator: string): ExpansionFacts {
  const { name, text } = prompt;
  return { generator, adapters: [...adapters], prompt: { name, text }, samples, ...sampling, seed };
}

async function reportOf(
  { arms, comparisons, alphas, latencies, cost, facts, notes }: TrialResult,
  expansions: readonly Expansion[],
  { dataset, split, seed, retrieval }: TrialSettings,
  { signal }: TrialOptions,
): Promise<ReportData> {
  const [main] = comparisons;
  const armOf = (name: string) => arms.find((arm) => arm.name === name)!;
  const [baseline, expanded] = [armOf(main!.baseline), armOf(main!.arm)];
  const queries = expanded.topics.queries.length;
  const made = [
    describeExpansions(facts),
    ...[...alphas].map(
      ([name, { words, source }]) => `${armName(name, false, retrieval)}: ${describeAlpha(words, source)}`,
    ),
    describeSample(queries),
  ];
  return buildReport({
    title: `Does expansion help on ${dataset.name}?`,
    dataset: { name: dataset.name, split, documents: expanded.retriever.size, queries },
    ...{ arms, comparisons, baseline, expanded, cost, latencies },
    documents: dataset.documents(signal),
    made: made.filter((sentence) => sentence !== undefined),
    settings: await describeSettings(
      dataset,
      arms.filter(({ topics }) => topics === expanded.topics),
      expansions,
      seed,
      expansionSettings(facts),
    ),
    remarks: [
      describeNoise(facts),
      'The main comparison uses the retriever that scores best without expansions, because it is the best alternative to expansion.',
      ...notes,
    ].filter((remark) => remark !== undefined),
  });
}
