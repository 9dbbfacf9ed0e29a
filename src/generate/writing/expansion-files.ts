import { basename, dirname, join, resolve } from 'node:path';
import { type Expansion, expansionSchema } from '../../data/index.ts';
import { readStageManifest } from '../../files/index.ts';
import { isThere, UsageError } from '../../system/index.ts';
import type { GenerationRequest, Generator as TextGenerator } from '../generator.ts';
import { keptTextsFileOf } from './kept-texts.ts';
import type { QuerySource, StageQuery } from './query-set.ts';
import { askOnceMore, type KeyedText, runStage, type Stage, type StageOptions, type StageOutcome } from './stage.ts';
import { openWholeOutput, type WholeFile } from './stage-output.ts';
import { contextRemark, countText, noTexts, type TextCounts } from './text-counts.ts';

export interface ExpansionFiles {
  /** One {@link Expansion} per line, ordered by query, then by sample. */
  expansions: string;
  /** BEIR's layout: `text: [query, e1, ..., eN]`. The file of expansions itself if there is no such file. */
  queries: string;
  /** Records which generator and settings made the two files. */
  manifest: string;
  journal: string;
}

export interface ExpansionStatistics extends TextCounts {
  queries: number;
  /** Expansions in the file. */
  expansions: number;
  /** Texts that the LLM wrote for them: more than there are expansions if an expansion is made of several texts. */
  texts: number;
  /** How many of them existed before this run. */
  reused: number;
  /** How many were empty and were requested a second time in this run. */
  repeated: number;
  /** Expansions without text. */
  empty: number;
  promptTokens: number;
  completionTokens: number;
  /** Prompts of this run whose documents were cut at their end because prompt and text did not fit into the context. */
  shortened: number;
  /** Seconds spent writing in this run. */
  seconds: number;
  /** Tokens written per second in this run; 0 if nothing had to be written. */
  tokensPerSecond: number;
}

export interface ExpandResult {
  files: ExpansionFiles;
  statistics: ExpansionStatistics;
}

/** What an LLM writes for each query, and how it becomes expansions. */
export interface ExpansionTask<Q extends StageQuery> {
  /** Short name of the prompt or strategy; it becomes part of the name of the queries file. Without it, there is no queries file. */
  name: string | undefined;
  /** Everything that decides the records except generator and queries. */
  settings: Record<string, unknown>;
  /** Names of settings that may differ from those of an existing file. Always: queries, samples, timings. */
  mayChange?: readonly string[] | undefined;
  /** Facts for the manifest that decide nothing. */
  about?: Record<string, unknown> | undefined;
  /** Returns the part of a query that the texts depend on, as plain JSON. @throws DataError if something is missing */
  identityOf(query: Q): unknown;
  /** Their number is `texts` for each query. */
  requestsFor(query: Q): GenerationRequest[];
  texts: number;
  expansions: number;
  /** Makes the expansions of a query. Their number is `expansions`. */
  expansionsOf(query: Q, texts: readonly KeyedText[]): Expansion[];
  /** Maximum number of new tokens of a text. */
  maxTokens: number;
}

export interface ExpansionFilesOptions extends Omit<StageOptions, 'out'> {
  /**
   * The file of expansions. `queries_<name>.jsonl` is written next to it. `<out>.journal` holds every text that was written for
   * the two files, including texts that the current settings do not use.
   */
  out: string;
}

/** The counts that records determine. */
type Counts = Omit<ExpansionStatistics, keyof StageOutcome | 'texts'>;

/**
 * Writes the files of an expansion task. Each text goes into a journal as soon as it is written, under a key of everything that
 * decides it. An interrupted run therefore resumes with the missing texts, a repeated run costs nothing, and additional queries or
 * samples cost only themselves. The two files appear when they are complete. Files that were made by another generator or with other
 * settings are refused unless `force` is set. An empty text is requested once more with another seed, then kept.
 *
 * @throws DataError if a query occurs twice, or if the origin of existing files is unknown; OtherSettingsError if files were made
 * with other settings, naming them; and what the generator throws
 */
export async function writeExpansionFiles<Q extends StageQuery>(
  task: ExpansionTask<Q>,
  queries: QuerySource<Q>,
  options: ExpansionFilesOptions,
): Promise<ExpandResult> {
  const files = filesOf(options.out, task.name);
  if (options.force !== true) await refuseQueriesOfOthers(files);
  const counts: Counts = {
    ...{ expansions: 0, repeated: 0, empty: 0, promptTokens: 0, completionTokens: 0, shortened: 0 },
    ...noTexts(),
  };
  const stage = stageOf(task, files, options.generator, counts);
  const outcome = await runStage(stage, queries, options);
  const { queries: count, seconds, tokensPerSecond, manifest, reusedTexts } = outcome;
  return {
    files: { ...files, manifest, journal: keptTextsFileOf(files.expansions) },
    statistics: {
      ...{ ...counts, queries: count, texts: count * task.texts, reused: reusedTexts, seconds, tokensPerSecond },
    },
  };
}

type OutputFiles = Pick<ExpansionFiles, 'expansions' | 'queries'>;

function filesOf(out: string, name: string | undefined): OutputFiles {
  const expansions = resolve(out);
  if (name === undefined) return { expansions, queries: expansions };
  const queries = join(dirname(expansions), `queries_${name}.jsonl`);
  if (queries === expansions) {
    throw new UsageError('both output files would have this name', { file: out, fix: 'Choose another output file.' });
  }
  return { expansions, queries };
}

/** Two outputs in one folder would share the name of the second file. */
async function refuseQueriesOfOthers({ expansions, queries }: OutputFiles): Promise<void> {
  const manifest = await readStageManifest(expansions);
  if (queries === expansions || manifest?.about.queriesFile === basename(queries) || !(await isThere(queries))) return;
  throw new UsageError(`already exists, and was not written with ${basename(expansions)}`, {
    file: queries,
    fix: 'Choose an output in another folder (--out), or replace this one with --force.',
  });
}

function stageOf<Q extends StageQuery>(
  task: ExpansionTask<Q>,
  files: OutputFiles,
  generator: TextGenerator,
  counts: Counts,
): Stage<Q, Expansion> {
  const outputs: WholeFile<Q, Expansion>[] = [
    { path: files.expansions, linesOf: (_query, expansions) => expansions },
    { path: files.queries, linesOf: (query, expansions) => [beirQuery(query, expansions)] },
  ];
  if (task.name === undefined) outputs.length = 1;
  return {
    name: 'expansions',
    unit: 'expansions',
    settings: task.settings,
    mayChange: ['queries', 'samples', 'timings', ...(task.mayChange ?? [])],
    about: { ...(task.name !== undefined && { queriesFile: basename(files.queries) }), ...task.about },
    schema: expansionSchema,
    idOf: ({ query }) => query,
    recordsPerQuery: task.expansions,
    textsPerQuery: task.texts,
    grows: false,
    companions: task.name === undefined ? [] : [files.queries],
    openOutput: (_file, layout, isWhole) => openWholeOutput(outputs, isWhole ? layout : undefined),
    identityOf: (query) => task.identityOf(query),
    requestsFor: (query) => task.requestsFor(query),
    again: (request, text) => {
      const again = askOnceMore(request, text);
      if (again !== undefined) counts.repeated++;
      return again;
    },
    recordsOf: (query, texts) => {
      counts.shortened += texts.filter(({ promptCut }) => promptCut).length;
      return task.expansionsOf(query, texts);
    },
    tally: (records) => count(counts, records, generator, task.maxTokens),
    remark: () => contextRemark(counts),
  };
}

/** A query without any expansion keeps its plain text. */
function beirQuery({ id, text }: StageQuery, expansions: readonly Expansion[]) {
  const texts = expansions.map((expansion) => expansion.text).filter((one) => one !== '');
  return { _id: id, text: texts.length === 0 ? text : [text, ...texts] };
}

/** Returns the record of an expansion that is one text. */
export function toExpansion(query: string, sample: number, written: KeyedText, timings: boolean): Expansion {
  const { text, raw, emptyBecause, finish, promptTokens, completionTokens, logProbability, milliseconds, key } =
    written;
  return {
    ...{ query, sample, text },
    ...(raw !== undefined && { raw }),
    ...(emptyBecause !== undefined && { emptyBecause }),
    ...{ finish, promptTokens, completionTokens },
    ...(logProbability !== undefined && { logProbability }),
    ...{ milliseconds: timings ? Math.round(milliseconds) : 0, key },
  };
}

function count(counts: Counts, expansions: readonly Expansion[], generator: TextGenerator, maxTokens: number): void {
  for (const { text, finish, promptTokens, completionTokens: tokens, emptyBecause } of expansions) {
    counts.expansions++;
    if (text === '') counts.empty++;
    counts.promptTokens += promptTokens;
    counts.completionTokens += tokens;
    countText(counts, generator, { finish, tokens, emptyBecause }, maxTokens);
  }
}
