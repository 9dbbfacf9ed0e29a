import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { BeirDataset, buildWordnetDataset, writeRun } from '../../data/index.ts';
import {
  type Arm,
  type Comparison,
  compareArms,
  loadTopics,
  measureLatencies,
  runArm,
  type Topics,
} from '../../evaluate/index.ts';
import type { PromptTemplate, Sampling } from '../../generate/index.ts';
import { DEFAULT_GENERATOR, ModelStore, resolveAdapter } from '../../models/index.ts';
import {
  type AlphaSource,
  buildReport,
  checkReportFile,
  describeAlpha,
  describeCost,
  describeExpansions,
  describeNoise,
  describeSample,
  describeSettings,
  type ExpansionFacts,
  type ReportData,
  writeReport,
} from '../../report/index.ts';
import { CorpusSearch, defaultRetrievalSettings } from '../../retrieve/index.ts';
import { type Progress, packageCommit, packageVersion, SILENT, writeDurably } from '../../system/index.ts';
import { readRecipe } from '../alignment-stages.ts';
import { openPrompt } from '../run/alignment-inputs.ts';
import { type ExpandedTopics, expandTopics } from './expand-topics.ts';

/** The measure of the comparisons. */
const MEASURE = 'nDCG@10';

export interface DemoSettings {
  /** Folder of the run: data set, expansions, TREC runs, metrics, report. */
  folder: string;
  /** Documents in the corpus. */
  corpus: number;
  /** Queries in the train, dev and test splits. */
  splits: { train: number; dev: number; test: number };
  /** Number of test queries that are expanded and searched. */
  evaluated: number;
  generator: string;
  /** LoRA adapters of the generator: PEFT's folders, GGUF, or hf:owner/name. */
  adapters: readonly string[];
  encoder: string;
  maxTokens: number;
  alpha: number;
  /** The origin of alpha, for the report. */
  alphaSource: AlphaSource;
  seed: number;
  threads: number | undefined;
  /** Undefined: taken from the environment. */
  offline: boolean | undefined;
}

export interface DemoOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface DemoResult {
  arms: Arm[];
  /** Expanded against raw, dense first. */
  comparisons: Comparison[];
  reportFile: string;
  dataFolder: string;
  expansionsFile: string;
  next: NextSearch;
}

/** A search that reproduces an example of the report: a query that expansion helped, with the settings of the run. */
export interface NextSearch {
  query: string;
  /** The queries with their expansions, in BEIR's layout. */
  queriesFile: string;
  promptFile: string;
  sampling: Sampling;
}

/**
 * Runs all of inference on the WordNet data set: expands the queries of a seeded sample, searches raw and expanded
 * queries with BM25 and with the encoder, compares them query by query, and writes runs, metrics and a report. Each
 * step keeps its results, so a second run repeats nothing.
 */
export async function runDemo(settings: DemoSettings, options: DemoOptions = {}): Promise<DemoResult> {
  const { signal, progress = SILENT } = options;
  const reportFile = join(settings.folder, 'report.html');
  await checkReportFile(reportFile);
  const store = new ModelStore({ offline: settings.offline, progress });
  await store.resolve(settings.encoder, { kind: 'encoder', signal });
  const generator = await store.resolve(settings.generator, { kind: 'generator', formats: ['gguf'], signal });
  const adapters: string[] = [];
  for (const name of settings.adapters) {
    adapters.push(await resolveAdapter(name, { offline: settings.offline, signal, progress }));
  }
  const dataFolder = join(settings.folder, 'wordnet');
  await buildWordnetDataset({ out: dataFolder, corpus: settings.corpus, ...settings.splits }, { signal, progress });
  const dataset = await BeirDataset.open(dataFolder);
  const raw = await loadTopics(dataset, 'test', { limit: settings.evaluated, seed: settings.seed });
  const writing = await writingOf(settings);
  const promptFile = join(settings.folder, 'prompt.txt');
  await writeDurably(promptFile, `${writing.prompt.text}\n`);
  const expanded = await expandTopics(raw, generator, { ...settings, ...writing, adapters }, { signal, progress });
  const retrieval = defaultRetrievalSettings({
    encoder: settings.encoder,
    alpha: settings.alpha,
    threads: settings.threads,
    offline: settings.offline,
  });
  const search = new CorpusSearch(dataset, retrieval, { signal, progress, store });
  try {
    const armOptions = { depth: retrieval.depth, dropSelf: false, signal };
    const arms: Arm[] = [];
    for (const plan of await planArms(search, raw, expanded.topics, settings)) {
      arms.push(await runArm(plan, armOptions));
    }
    const latencies = await measureLatencies(arms, armOptions);
    return await writeResults({
      settings,
      dataset,
      arms,
      latencies,
      expanded,
      writing,
      promptFile,
      reportFile,
      signal,
    });
  } finally {
    await search.close();
  }
}

interface Writing {
  prompt: PromptTemplate;
  sampling: Sampling;
}

/** Prompt and sampling of the recipe demo, whose unaligned arm the demo shows. */
async function writingOf({ maxTokens }: DemoSettings): Promise<Writing> {
  const { prompt, expansion } = await readRecipe('demo');
  const { temperature, topP, topK } = expansion;
  return { prompt: await openPrompt(prompt), sampling: { temperature, topP, topK, maxTokens } };
}

async function planArms(search: CorpusSearch, raw: Topics, expanded: Topics, { encoder, alpha }: DemoSettings) {
  const bm25 = await search.retriever('bm25');
  const dense = await search.retriever('dense');
  return [
    { name: 'BM25', description: "Lucene's BM25, raw queries", retriever: bm25, topics: raw },
    { name: 'BM25 + expansion', description: 'query repeated, then the expansion', retriever: bm25, topics: expanded },
    { name: 'dense', description: `${encoder}, raw queries`, retriever: dense, topics: raw },
    {
      name: 'dense + expansion',
      description: `${encoder}, alpha ${alpha}`,
      retriever: dense,
      topics: expanded,
    },
  ];
}

interface Results {
  settings: DemoSettings;
  dataset: BeirDataset;
  arms: Arm[];
  latencies: ReadonlyMap<string, number>;
  expanded: ExpandedTopics;
  writing: Writing;
  promptFile: string;
  reportFile: string;
  signal: AbortSignal | undefined;
}

async function writeResults(results: Results): Promise<DemoResult> {
  const { settings, dataset, arms, latencies, writing, promptFile, reportFile, signal } = results;
  const { expansions, expansionsFile, queriesFile, provenance } = results.expanded;
  const [bm25, bm25Expanded, dense, denseExpanded] = arms as [Arm, Arm, Arm, Arm];
  const comparisons = [
    compareArms(dense, denseExpanded, MEASURE, settings.seed),
    compareArms(bm25, bm25Expanded, MEASURE, settings.seed),
  ];
  for (const arm of arms) {
    const tag = arm.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
    await writeRun(join(settings.folder, 'runs', `${tag}.run`), arm.retrieval.run, `llm-qe-${tag}`);
  }
  const metrics = { settings, arms: arms.map(({ name, scores }) => ({ name, ...scores.mean })), comparisons };
  await writeDurably(join(settings.folder, 'metrics.json'), `${JSON.stringify(metrics, null, 1)}\n`);
  const sections = await describeSettings(dataset, arms, expansions, settings.seed, provenance);
  await writeManifest(settings, sections);
  const report = await buildReport({
    title: 'What query expansion did',
    dataset: {
      name: 'WordNet questions and glosses',
      split: 'test',
      documents: dense.retriever.size,
      queries: dense.scores.queries,
    },
    arms,
    comparisons,
    baseline: dense,
    expanded: denseExpanded,
    documents: dataset.documents(signal),
    cost: describeCost(expansions, denseExpanded),
    latencies,
    made: howMade(settings, writing, dense.scores.queries),
    settings: sections,
    remarks: [...remarksOn(settings, writing), ...dense.retriever.notes],
  });
  await writeReport(reportFile, report);
  const query = mostHelped(report.queries);
  const next = { query, queriesFile, promptFile, sampling: writing.sampling };
  return { arms, comparisons, reportFile, dataFolder: dataset.folder, expansionsFile, next };
}

/** Records the inputs of the run, to reproduce it. It contains no dates, so equal runs have equal manifests. */
async function writeManifest(settings: DemoSettings, sections: ReportData['settings']): Promise<void> {
  const host = { node: process.version, platform: process.platform, arch: process.arch, cores: availableParallelism() };
  const described = Object.fromEntries(sections.map(([name, entries]) => [name, Object.fromEntries(entries)]));
  const manifest = {
    command: 'demo',
    version: packageVersion(),
    commit: packageCommit(),
    host,
    settings,
    ...described,
  };
  await writeDurably(join(settings.folder, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`);
}

/** The text of the query that expansion helped most; any query if it helped none. */
function mostHelped(queries: ReportData['queries']): string {
  let best = queries[0]!;
  for (const one of queries) if (one.after - one.before > best.after - best.before) best = one;
  return best.text;
}

function factsOf({ generator, adapters, seed }: DemoSettings, { prompt, sampling }: Writing): ExpansionFacts {
  const { name, text } = prompt;
  return { generator, adapters: [...adapters], prompt: { name, text }, samples: 1, ...sampling, seed };
}

function howMade(settings: DemoSettings, writing: Writing, queries: number): string[] {
  const sentences = [
    describeExpansions(factsOf(settings, writing)),
    describeAlpha(settings.alpha, settings.alphaSource),
    describeSample(queries),
  ];
  return sentences.filter((sentence) => sentence !== undefined);
}

function remarksOn(settings: DemoSettings, writing: Writing): string[] {
  const { generator, adapters } = settings;
  const isDefault = generator === DEFAULT_GENERATOR && adapters.length === 0;
  const llm = isDefault
    ? 'a small one (135 million parameters), not aligned to the retriever'
    : [generator, ...adapters.map((adapter) => `the adapter ${adapter}`)].join(' with ');
  const remarks = [
    `The LLM is ${llm}.`,
    describeNoise(factsOf(settings, writing)),
    `The prompt was chosen on other questions (the development split) for the default LLM${settings.alphaSource === 'other queries' ? ', and so was alpha' : ''}; see docs/study-alignment.md.`,
    'Queries are questions about WordNet terms whose gloss does not contain the term; every noun sense of the term counts as relevant. A question shares no word with its answers, so BM25 alone finds almost nothing. This is a property of the data set and does not show the quality of BM25.',
  ];
  return remarks.filter((remark) => remark !== undefined);
}
