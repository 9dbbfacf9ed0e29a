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

/** A query that is to be expanded. */
export interface ExpandableQuery extends Pick<Query, 'id' | 'text'> {
  /** For prompts with `{document}`. */
  document?: string | undefined;
}

export interface ExpandOptions extends Omit<StageOptions, 'out'> {
  /** Read twice where they are given as a function, so that they need not be in memory. */
  queries: Iterable<ExpandableQuery> | QuerySource<ExpandableQuery>;
  prompt: PromptTemplate;
  /** Default: temperature 1, topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Sampling> | undefined;
  /** Expansions a query. Default 1. */
  samples?: number | undefined;
  /** Every sample's own seed comes from this one, the query's id and the sample's number. Default 42. */
  seed?: number | undefined;
  /**
   * The file of expansions; `queries_<prompt>.jsonl` is written beside it, and `<out>.journal` holds every text that was written for
   * either, also those that are not wanted at the moment.
   */
  out: string;
  /** Whether records hold wall times; without them the files of equal runs are equal to the byte. Default true. */
  timings?: boolean | undefined;
}

export interface ExpansionFiles {
  /** One {@link Expansion} a line, in the order of the queries, then of the samples. */
  expansions: string;
  /** BEIR's layout: `text: [query, e1, ..., eN]`. */
  queries: string;
  /** By whom and with which settings the two were made. */
  manifest: string;
  journal: string;
}

export interface ExpansionStatistics extends TextCounts {
  queries: number;
  /** Expansions in the file. */
  expansions: number;
  /** How many of them were there before this run. */
  reused: number;
  /** How many were empty and were asked for a second time in this run. */
  repeated: number;
  /** How many are empty for good; such a query is searched raw. */
  empty: number;
  /** Tokens of all expansions in the file. */
  promptTokens: number;
  completionTokens: number;
  /** Of this run alone. */
  seconds: number;
  /** Tokens written a second in this run; 0 when nothing had to be written. */
  tokensPerSecond: number;
}

export interface ExpandResult {
  files: ExpansionFiles;
  statistics: ExpansionStatistics;
}

/** Settings with nothing left open. */
interface ExpansionPlan {
  prompt: PromptTemplate;
  sampling: Sampling;
  samples: number;
  seed: number;
  timings: boolean;
}

/**
 * Expands queries. Each expansion goes into a journal as soon as it is there, under a key of all that decides it: a run that was cut off goes
 * on with what is missing, a repeated one costs nothing, and more queries or samples cost only themselves. The two files appear when
 * they are whole. Files that another generator wrote, or other settings, are refused unless `force` is given. An empty text is
 * asked for once more with another seed, then kept.
 *
 * @throws DataError for a query that comes twice, or files that nobody knows the making of; OtherSettingsError for files that were made
 *   otherwise, saying how; UsageError for impossible settings; and what the generator throws
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
    throw new UsageError(`${samples} is not a number of samples`, { fix: 'Give a whole number from 1.' });
  }
  return { prompt, sampling: checkSampling(options.sampling ?? {}), samples, seed, timings };
}

/** What is iterable may be so once only, and is read twice. */
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
    throw new UsageError('both output files would have this name', { file: out, fix: 'Name another output file.' });
  }
  return { expansions, queries };
}

/** Two outputs in one folder share the name of the second file. */
async function refuseQueriesOfOthers({ expansions, queries }: OutputFiles): Promise<void> {
  const manifest = await readStageManifest(expansions);
  if (manifest?.about.queriesFile === basename(queries) || !(await isThere(queries))) return;
  throw new UsageError(`stands there already, and was not written with ${basename(expansions)}`, {
    file: queries,
    fix: 'Name an output in another folder (--out), or replace it with --force.',
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
