import { dirname, join, resolve } from 'node:path';
import { type Expansion, expansionSchema, type Query } from '../../data/index.ts';
import { Journal, writeJsonl } from '../../files/index.ts';
import {
  AbortedError,
  contentKey,
  DataError,
  deriveSeed,
  isAbort,
  ModelError,
  type Progress,
  SILENT,
  UsageError,
} from '../../system/index.ts';
import type { Generation, GenerationRequest, Sampling, Generator as TextGenerator } from '../generator.ts';
import type { PromptTemplate } from '../prompts.ts';
import { cutOpening } from '../prompts.ts';
import { checkSampling } from '../sampling.ts';
import { type CutTexts, contextRemark, countCut } from './cut-texts.ts';

/** A query that is to be expanded. */
export interface ExpandableQuery extends Pick<Query, 'id' | 'text'> {
  /** For prompts with `{document}`. */
  document?: string | undefined;
}

export interface ExpandOptions {
  queries: Iterable<ExpandableQuery>;
  generator: TextGenerator;
  prompt: PromptTemplate;
  /** Default: temperature 1, topP 0.9, topK 0, maxTokens 512. */
  sampling?: Partial<Sampling> | undefined;
  /** Expansions a query. Default 1. */
  samples?: number | undefined;
  /** Every sample's own seed comes from this one, the query's id and the sample's number. Default 42. */
  seed?: number | undefined;
  /** The file of expansions; `queries_<prompt>.jsonl` is written beside it, and the journal grows at `<out>.journal`. */
  out: string;
  /** Whether records hold wall times; without them the files of equal runs are equal to the byte. Default true. */
  timings?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface ExpansionFiles {
  /** One {@link Expansion} a line, in the order of the queries, then of the samples. */
  expansions: string;
  /** BEIR's layout: `text: [query, e1, ..., eN]`. */
  queries: string;
  journal: string;
}

export interface ExpansionStatistics extends CutTexts {
  queries: number;
  /** Expansions in the file. */
  expansions: number;
  /** How many of them were found in the journal. */
  reused: number;
  /** How many were empty and were asked for a second time. */
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

/** One expansion that is wanted. */
interface Wanted {
  query: ExpandableQuery;
  sample: number;
  request: GenerationRequest;
  key: string;
}

/**
 * Expands queries. Each expansion goes into a journal as soon as it is there, under a key of generator, prompt,
 * sampling settings and seed: a run that was cut off goes on with what is missing, a repeated one costs nothing, and one
 * with other settings makes its own. An empty text is asked for once more with another seed, then kept.
 *
 * @throws DataError for a query that comes twice, UsageError for impossible settings, and what the generator throws
 */
export async function expandQueries(options: ExpandOptions): Promise<ExpandResult> {
  const wanted = planWork(options);
  const files = filesFor(options);
  const journal = await Journal.open(files.journal, expansionSchema);
  try {
    const done = new Map(journal.records.map((record) => [record.key, record]));
    const run = new ExpansionRun(options, journal, done, wanted);
    const counts = await run.writeMissing();
    const expansions = wanted.map(({ key }) => done.get(key)!);
    await writeJsonl(files.expansions, expansions);
    await writeJsonl(files.queries, beirQueries(wanted, done));
    return { files, statistics: summarize(expansions, counts, countCuts(expansions, options)) };
  } finally {
    await journal.close();
  }
}

/** What one run did. */
interface RunCounts {
  reused: number;
  repeated: number;
  written: number;
  seconds: number;
}

class ExpansionRun {
  readonly #options: ExpandOptions;
  readonly #journal: Journal<Expansion>;
  readonly #done: Map<string, Expansion>;
  readonly #wanted: Wanted[];
  #tokens = 0;

  constructor(options: ExpandOptions, journal: Journal<Expansion>, done: Map<string, Expansion>, wanted: Wanted[]) {
    this.#options = options;
    this.#journal = journal;
    this.#done = done;
    this.#wanted = wanted;
  }

  async writeMissing(): Promise<RunCounts> {
    const missing = this.#wanted.filter(({ key }) => !this.#done.has(key));
    const reused = this.#wanted.length - missing.length;
    const task = (this.#options.progress ?? SILENT).task('writing expansions', this.#wanted.length, 'expansions');
    if (reused > 0) task.advance(reused);
    const startedAt = performance.now();
    const onText = (): void => {
      task.advance();
      task.note(`${Math.round(this.#tokens / ((performance.now() - startedAt) / 1000))} tokens/s`);
    };
    try {
      const empty = await this.#pass(missing, false, onText);
      await this.#pass(empty.map(askAgain), true, onText);
      task.done(contextRemark(countCuts(this.#expansions(), this.#options)));
      const seconds = missing.length === 0 ? 0 : (performance.now() - startedAt) / 1000;
      return { reused, repeated: empty.length, written: this.#tokens, seconds };
    } catch (error) {
      task.done('stopped');
      throw isAbort(error) ? this.#stopped() : error;
    }
  }

  /** Generates what is asked for and returns what came back empty, unless empty texts are kept. */
  async #pass(wanted: Wanted[], keepEmpty: boolean, onText: () => void): Promise<Wanted[]> {
    if (wanted.length === 0) return [];
    const open = new Map(wanted.map((one) => [one.request.id, one]));
    const empty: Wanted[] = [];
    const requests = wanted.map(({ request }) => request);
    for await (const generation of this.#options.generator.generate(requests, this.#options.signal)) {
      const one = open.get(generation.id);
      if (one === undefined)
        throw new ModelError('the generator answered what was not asked', { ...BROKEN, id: generation.id });
      open.delete(generation.id);
      this.#tokens += generation.completionTokens;
      const expansion = toExpansion(one, generation, this.#options.timings ?? true);
      if (expansion.text === '' && !keepEmpty) {
        empty.push(one);
        continue;
      }
      await this.#journal.append(expansion);
      this.#done.set(one.key, expansion);
      onText();
    }
    const left = open.keys().next().value;
    if (left !== undefined) throw new ModelError('the generator left a request unanswered', { ...BROKEN, id: left });
    return empty;
  }

  *#expansions(): Generator<Expansion> {
    for (const { key } of this.#wanted) yield this.#done.get(key)!;
  }

  #stopped(): AbortedError {
    const finished = this.#wanted.filter(({ key }) => this.#done.has(key)).length;
    return new AbortedError(`stopped with ${finished} of ${this.#wanted.length} expansions written`);
  }
}

const BROKEN = { fix: 'Report this with the name of the generator.' };

function planWork({ queries, generator, prompt, sampling, samples = 1, seed = 42 }: ExpandOptions): Wanted[] {
  const checked = checkSampling(sampling ?? {});
  if (!Number.isInteger(samples) || samples < 1) {
    throw new UsageError(`${samples} is not a number of samples`, { fix: 'Give a whole number from 1.' });
  }
  const seen = new Set<string>();
  const wanted: Wanted[] = [];
  for (const query of queries) {
    if (seen.has(query.id))
      throw new DataError('the query comes twice', { id: query.id, fix: 'Give each query an id of its own.' });
    seen.add(query.id);
    const messages = prompt.messages({ id: query.id, query: query.text, document: query.document });
    for (let sample = 0; sample < samples; sample++) {
      const own = deriveSeed(seed, query.id, sample);
      const request = { id: `${query.id}/${sample}`, messages, sampling: checked, seed: own };
      const key = contentKey({ generator: generator.fingerprint, messages, sampling: checked, seed: own });
      wanted.push({ query, sample, request, key });
    }
  }
  return wanted;
}

/** The same work with another seed; its key stays that of the first attempt. */
function askAgain(wanted: Wanted): Wanted {
  return { ...wanted, request: { ...wanted.request, seed: deriveSeed(wanted.request.seed, 'again') } };
}

function toExpansion({ query, sample, key }: Wanted, generation: Generation, timings: boolean): Expansion {
  const text = cutOpening(generation.text);
  return {
    query: query.id,
    sample,
    text,
    ...(text !== generation.text && { raw: generation.text }),
    finish: generation.finish,
    promptTokens: generation.promptTokens,
    completionTokens: generation.completionTokens,
    milliseconds: timings ? Math.round(generation.milliseconds) : 0,
    key,
  };
}

function filesFor({ out, prompt }: ExpandOptions): ExpansionFiles {
  const expansions = resolve(out);
  const queries = join(dirname(expansions), `queries_${prompt.name}.jsonl`);
  if (queries === expansions) {
    throw new UsageError('both output files would have this name', { file: out, fix: 'Name another output file.' });
  }
  return { expansions, queries, journal: `${expansions}.journal` };
}

/** A query without any expansion keeps its plain text. */
function* beirQueries(wanted: readonly Wanted[], done: ReadonlyMap<string, Expansion>) {
  const byQuery = new Map<ExpandableQuery, string[]>();
  for (const { query, key } of wanted) {
    const texts = byQuery.get(query) ?? [];
    const text = done.get(key)!.text;
    if (text !== '') texts.push(text);
    byQuery.set(query, texts);
  }
  for (const [{ id, text }, expansions] of byQuery) {
    yield { _id: id, text: expansions.length === 0 ? text : [text, ...expansions] };
  }
}

function countCuts(expansions: Iterable<Expansion>, { generator, sampling }: ExpandOptions): CutTexts {
  const cuts: CutTexts = { cutByLength: 0, cutByContext: 0 };
  const { maxTokens } = checkSampling(sampling ?? {});
  for (const { finish, completionTokens: tokens } of expansions)
    countCut(cuts, generator, { finish, tokens }, maxTokens);
  return cuts;
}

function summarize(expansions: readonly Expansion[], counts: RunCounts, cuts: CutTexts): ExpansionStatistics {
  const sum = (value: (one: Expansion) => number): number => expansions.reduce((total, one) => total + value(one), 0);
  return {
    queries: new Set(expansions.map(({ query }) => query)).size,
    expansions: expansions.length,
    reused: counts.reused,
    repeated: counts.repeated,
    empty: sum(({ text }) => Number(text === '')),
    ...cuts,
    promptTokens: sum(({ promptTokens }) => promptTokens),
    completionTokens: sum(({ completionTokens }) => completionTokens),
    seconds: Number(counts.seconds.toFixed(3)),
    tokensPerSecond: counts.seconds === 0 ? 0 : Number((counts.written / counts.seconds).toFixed(1)),
  };
}
