import { basename, dirname, join, resolve } from 'node:path';
import { type Expansion, expansionSchema, type Query } from '../../data/index.ts';
import { readStageManifest } from '../../files/index.ts';
import { DEFAULT_SEED, deriveSeed, isThere, UsageError } from '../../system/index.ts';
import type { GenerationRequest, Sampling, Generator as TextGenerator } from '../generator.ts';
import type { PromptTemplate } from '../prompts.ts';
import { checkSampling } from '../sampling.ts';
import { keptTextsFileOf } from './kept-texts.ts';
import type { QuerySource } from './query-set.ts';
import { askOnceMore, type KeyedText, runStage, type Stage, type StageOptions, type StageOutcome } from './stage.ts';
import { openWholeOutput, type WholeFile } from './stage-output.ts';
import { contextRemark, countText, noTexts, type TextCounts } from './text-counts.ts';

/** A query to expand. */
export interface ExpandableQuery extends Pick<Query, 'id' | 'text'> {
  /** For prompts with `{document}`. */
  document?: string | undefined;
}

export interface ExpandOptions extends Omit<StageOptions, 'out'> {
  /** Read twice. As a function they need not be in memory. */
  queries: Iterable<ExpandableQuery> | QuerySource<ExpandableQuery>;
  prompt: PromptTemplate;
  /** Default: temperature 1, topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Sampling> | undefined;
  /** Expansions per query. Default 1. */
  samples?: number | undefined;
  /** The seed of every sample is derived from this one, the query's id and the sample's number. Default 42. */
  seed?: number | undefined;
  /**
   * The file of expansions. `queries_<prompt>.jsonl` is written next to it. `<out>.journal` holds every text that was written for
   * the two files, including texts that the current settings do not use.
   */
  out: string;
  /** Whether records hold wall times. Without them, equal runs write identical files. Default true. */
  timings?: boolean | undefined;
}

export interface ExpansionFiles {
  /** One {@link Expansion} per line, ordered by query, then by sample. */
  expansions: string;
  /** BEIR's layout: `text: [query, e1, ..., eN]`. */
  queries: string;
  /** Records which generator and settings made the two files. */
  manifest: string;
  journal: string;
}

export interface ExpansionStatistics extends TextCounts {
  queries: number;
  /** Expansions in the file. */
  expansions: number;
  /** How many of them existed before this run. */
  reused: number;
  /** How many were empty and were requested a second time in this run. */
  repeated: number;
  /** How many stayed empty. Such a query is searched without expansion. */
  empty: number;
  /** Tokens of all expansions in the file. */
  promptTokens: number;
  completionTokens: number;
  /** Seconds spent writing in this run. */
  seconds: number;
  /** Tokens written per second in this run; 0 if nothing had to be written. */
  tokensPerSecond: number;
}

export interface ExpandResult {
  files: ExpansionFiles;
  statistics: ExpansionStatistics;
}

/** Complete settings, with defaults filled in. */
interface ExpansionPlan {
  prompt: PromptTemplate;
  sampling: Sampling;
  samples: number;
  seed: number;
  timings: boolean;
}

/**
 * Expands queries. Each expansion goes into a journal as soon as it is written, under a key of everything that decides it. An
 * interrupted run therefore resumes with the missing texts, a repeated run costs nothing, and additional queries or samples cost
 * only themselves. The two files appear when they are complete. Files that were made by another generator or with other settings
 * are refused unless `force` is set. An empty text is requested once more with another seed, then kept.
 *
 * @throws DataError if a query occurs twice, or if the origin of existing files is unknown; OtherSettingsError if files were made
 * with other settings, naming them; UsageError for invalid settings; and what the generator throws
 */
export async function expandQueries(options: ExpandOptions): Promise<ExpandResult> {
  const plan = planExpansions(options);
  const files = filesOf(options);
  if (options.force !== true) await refuseQueriesOfOthers(files);
  const statistics: Omit<ExpansionStatistics, keyof StageOutcome> = {
    ...{ expansions: 0, repeated: 0, empty: 0, promptTokens: 0, completionTokens: 0 },
    ...noTexts(),
  };
  const stage = expansionStage(plan, files, options.generator, statistics);
  const { queries, seconds, tokensPerSecond, manifest, reusedTexts } = await runStage(
    stage,
    sourceOf(options.queries),
    options,
  );
  return {
    files: { ...files, manifest, journal: keptTextsFileOf(files.expansions) },
    statistics: { ...statistics, queries, reused: reusedTexts, seconds, tokensPerSecond },
  };
}

function planExpansions({
  prompt,
  samples = 1,
  seed = DEFAULT_SEED,
  timings = true,
  ...options
}: ExpandOptions): ExpansionPlan {
  if (!Number.isInteger(samples) || samples < 1) {
    throw new UsageError(`${samples} is not a number of samples`, { fix: 'Use a whole number of at least 1.' });
  }
  return { prompt, sampling: checkSampling(options.sampling ?? {}), samples, seed, timings };
}

/** An iterable can perhaps be read only once, but queries are read twice. */
function sourceOf(queries: ExpandOptions['queries']): QuerySource<ExpandableQuery> {
  if (typeof queries === 'function') return queries;
  const all = [...queries];
  return () => all;
}

type OutputFiles = Pick<ExpansionFiles, 'expansions' | 'queries'>;

function filesOf({ out, prompt }: ExpandOptions): OutputFiles {
  const expansions = resolve(out);
  const queries = join(dirname(expansions), `queries_${prompt.name}.jsonl`);
  if (queries === expansions) {
    throw new UsageError('both output files would have this name', { file: out, fix: 'Choose another output file.' });
  }
  return { expansions, queries };
}

/** Two outputs in one folder would share the name of the second file. */
async function refuseQueriesOfOthers({ expansions, queries }: OutputFiles): Promise<void> {
  const manifest = await readStageManifest(expansions);
  if (manifest?.about.queriesFile === basename(queries) || !(await isThere(queries))) return;
  throw new UsageError(`already exists, and was not written with ${basename(expansions)}`, {
    file: queries,
    fix: 'Choose an output in another folder (--out), or replace this one with --force.',
  });
}

function expansionStage(
  plan: ExpansionPlan,
  files: OutputFiles,
  generator: TextGenerator,
  statistics: Omit<ExpansionStatistics, keyof StageOutcome>,
): Stage<ExpandableQuery, Expansion> {
  const { prompt, sampling, samples, seed, timings } = plan;
  const outputs: WholeFile<ExpandableQuery, Expansion>[] = [
    { path: files.expansions, linesOf: (_query, expansions) => expansions },
    { path: files.queries, linesOf: (query, expansions) => [beirQuery(query, expansions)] },
  ];
  return {
    name: 'expansions',
    unit: 'expansions',
    settings: { prompt: { name: prompt.name, text: prompt.text }, ...sampling, seed, samples, timings },
    mayChange: ['queries', 'samples', 'timings'],
    about: { queriesFile: basename(files.queries) },
    schema: expansionSchema,
    idOf: ({ query }) => query,
    recordsPerQuery: samples,
    grows: false,
    companions: [files.queries],
    openOutput: (_file, layout, isWhole) => openWholeOutput(outputs, isWhole ? layout : undefined),
    identityOf: (query) => {
      messagesFor(prompt, query);
      return [query.id, query.text, query.document ?? null];
    },
    requestsFor: (query) => expansionRequests(plan, query),
    again: (request, text) => {
      const again = askOnceMore(request, text);
      if (again !== undefined) statistics.repeated++;
      return again;
    },
    recordsOf: ({ id }, texts) => texts.map((text, sample) => toExpansion(id, sample, text, timings)),
    tally: (records) => addToStatistics(statistics, records, generator, sampling.maxTokens),
    remark: () => contextRemark(statistics),
  };
}

function messagesFor(prompt: PromptTemplate, { id, text, document }: ExpandableQuery) {
  return prompt.messages({ id, query: text, document });
}

function expansionRequests({ prompt, sampling, samples, seed }: ExpansionPlan, query: ExpandableQuery) {
  const messages = messagesFor(prompt, query);
  return Array.from({ length: samples }, (_none, sample): GenerationRequest => {
    return { id: `${query.id}/${sample}`, messages, sampling, seed: deriveSeed(seed, query.id, sample) };
  });
}

function toExpansion(query: string, sample: number, written: KeyedText, timings: boolean): Expansion {
  const { text, raw, emptyBecause, finish, promptTokens, completionTokens, milliseconds, key } = written;
  return {
    ...{ query, sample, text },
    ...(raw !== undefined && { raw }),
    ...(emptyBecause !== undefined && { emptyBecause }),
    ...{ finish, promptTokens, completionTokens, milliseconds: timings ? Math.round(milliseconds) : 0, key },
  };
}

/** A query without any expansion keeps its plain text. */
function beirQuery({ id, text }: ExpandableQuery, expansions: readonly Expansion[]) {
  const texts = expansions.map((expansion) => expansion.text).filter((one) => one !== '');
  return { _id: id, text: texts.length === 0 ? text : [text, ...texts] };
}

function addToStatistics(
  statistics: Omit<ExpansionStatistics, keyof StageOutcome>,
  expansions: readonly Expansion[],
  generator: TextGenerator,
  maxTokens: number,
): void {
  for (const { text, finish, promptTokens, completionTokens: tokens, emptyBecause } of expansions) {
    statistics.expansions++;
    if (text === '') statistics.empty++;
    statistics.promptTokens += promptTokens;
    statistics.completionTokens += tokens;
    countText(statistics, generator, { finish, tokens, emptyBecause }, maxTokens);
  }
}
