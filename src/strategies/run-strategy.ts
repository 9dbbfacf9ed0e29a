import { join, resolve } from 'node:path';
import { type BeirDataset, type Expansion, readExpansions } from '../data/index.ts';
import {
  checkSamples,
  checkSampling,
  type ExpandableQuery,
  type ExpandResult,
  type ExpansionFilesOptions,
  type ExpansionTask,
  expandQueries,
  type GenerationRequest,
  PROMPTS,
  sourceOf,
  toExpansion,
  writeExpansionFiles,
} from '../generate/index.ts';
import { CorpusSearch, defaultRetrievalSettings, type RetrievalSettings } from '../retrieve/index.ts';
import { contentKey, DEFAULT_SEED, deriveSeed } from '../system/index.ts';
import { strategyOf, variantOf } from './catalogue.ts';
import { chooseExamples, type ExampleSource } from './examples.ts';
import { FirstPass } from './first-pass.ts';
import { type ExpansionTaskName, isTask } from './methods/tasks.ts';
import type { Example, Made, StepInput, Strategy, StrategySettings, StrategyStep, Written } from './strategy.ts';
import { templateOf } from './template.ts';

export interface StrategyOptions extends ExpansionFilesOptions {
  /** A name of `STRATEGIES`. */
  strategy: string;
  /** Provides the corpus that is searched for documents, and the training split for examples. */
  dataset: BeirDataset;
  queries: Iterable<Pick<ExpandableQuery, 'id' | 'text'>>;
  /** All queries of the set, if `queries` are only a part of it: none of them becomes an example. Default: `queries`. */
  allQueries?: Iterable<Pick<ExpandableQuery, 'id'>> | undefined;
  /** What differs from the strategy's published settings. */
  settings?: { [Name in keyof StrategySettings]?: StrategySettings[Name] | undefined } | undefined;
  /** The wording for a task or a data set. Default: that of the data set's name, otherwise the general one. */
  variant?: string | undefined;
  /** The seed of every text is derived from this one, the query's id, the step and the text's number. Default 42. */
  seed?: number | undefined;
  /** Whether records hold wall times. Without them, equal runs write identical files. Default true. */
  timings?: boolean | undefined;
  /** BM25's settings, for strategies that search. */
  retrieval?: Pick<RetrievalSettings, 'k1' | 'b' | 'analyzer' | 'threads'> | undefined;
}

export interface StrategyResult extends ExpandResult {
  strategy: string;
  settings: StrategySettings;
  variant: string | undefined;
  /** Where the examples in the prompt come from; undefined for a prompt without. */
  examples: ExampleSource | undefined;
}

/** Fills in the published settings of a strategy. @throws UsageError that names an invalid one */
export function strategySettings(strategy: Strategy, given: StrategyOptions['settings'] = {}): StrategySettings {
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const { samples, ...sampling } = { ...strategy.defaults, ...known };
  return { samples: checkSamples(samples), ...checkSampling(sampling) };
}

/**
 * Expands queries by a published strategy. Each step of it writes a text for every query before the next begins; the texts of earlier
 * steps are files in `<out>.steps`. Every text goes into a journal, so an interrupted run resumes with the missing texts, at any step.
 *
 * @throws UsageError for an unknown strategy, variant or setting; DataError if the corpus or a query is faulty; OtherSettingsError if
 * files were made with other settings, naming them; and what the generator throws
 */
export async function expandByStrategy(options: StrategyOptions): Promise<StrategyResult> {
  const strategy = strategyOf(options.strategy);
  const settings = strategySettings(strategy, options.settings);
  const variant = variantOf(strategy, options.variant, options.dataset.name);
  const about = { strategy: strategy.name, paper: strategy.paper, combination: strategy.combination(settings) };
  const facts = { strategy: strategy.name, settings, variant: variant === '' ? undefined : variant };
  if (isTask(strategy.name)) {
    return { ...(await expandByTask(strategy.name, settings, about, options)), ...facts, examples: undefined };
  }
  const queries = [...options.queries];
  const { seed = DEFAULT_SEED, signal } = options;
  const expanded = new Set([...(options.allQueries ?? queries)].map(({ id }) => id));
  const { examples, source } = await chooseExamples(options.dataset, strategy.examples, { seed, expanded, signal });
  const run = new StrategyRun({ strategy, settings, variant, examples, about, seed }, queries, options);
  try {
    return { ...(await run.finish()), ...facts, examples: strategy.examples === 0 ? undefined : source };
  } finally {
    await run.close();
  }
}

/** The tasks of LLM-QE write the same files as without a strategy. */
function expandByTask(
  task: ExpansionTaskName,
  { samples, ...sampling }: StrategySettings,
  about: Record<string, unknown>,
  { queries, ...options }: StrategyOptions,
): Promise<ExpandResult> {
  const source = sourceOf(queries);
  return expandQueries({ ...options, queries: source, prompt: PROMPTS[task], sampling, samples, about });
}

interface StrategyPlan {
  strategy: Strategy;
  settings: StrategySettings;
  variant: string;
  examples: readonly Example[];
  about: Record<string, unknown>;
  seed: number;
}

/** A query with everything that the prompts of a step read. */
interface StepQuery {
  id: string;
  text: string;
  passages: readonly string[];
  /** Texts of the earlier steps // [steps, texts] */
  earlier: readonly (readonly Written[])[];
}

/** Runs the steps of a strategy, one after the other. */
class StrategyRun {
  readonly #plan: StrategyPlan;
  readonly #queries: readonly { id: string; text: string }[];
  readonly #options: StrategyOptions;
  readonly #earlier: Map<string, Expansion[]>[] = [];
  /** Ids of the documents that prompts have shown, by query. */
  readonly #shown = new Map<string, Set<string>>();
  #search: CorpusSearch | undefined;

  constructor(plan: StrategyPlan, queries: readonly { id: string; text: string }[], options: StrategyOptions) {
    [this.#plan, this.#queries, this.#options] = [plan, queries, options];
  }

  async finish(): Promise<ExpandResult> {
    const { steps } = this.#plan.strategy;
    const results: ExpandResult[] = [];
    for (const [at, step] of steps.entries()) {
      const isLast = at === steps.length - 1;
      const passages = await this.#passagesFor(step);
      const out = isLast ? this.#options.out : this.#fileOf(step, at);
      const task = await this.#taskOf(step, isLast);
      const result = await writeExpansionFiles(task, () => this.#inputs(passages), { ...this.#options, out });
      results.push(result);
      if (!isLast) this.#earlier.push(await readExpansions(result.files.expansions, this.#options.signal));
    }
    return sumOf(results);
  }

  async close(): Promise<void> {
    await this.#search?.close();
  }

  #fileOf({ name }: StrategyStep, at: number): string {
    return join(`${resolve(this.#options.out).replace(/\.jsonl$/, '')}.steps`, `${at + 1}-${name}.jsonl`);
  }

  #textsOf(id: string): Expansion[][] {
    return this.#earlier.map((texts) => texts.get(id) ?? []);
  }

  *#inputs(passages: ReadonlyMap<string, readonly string[]>): Generator<StepQuery> {
    for (const { id, text } of this.#queries) {
      yield { id, text, passages: passages.get(id) ?? [], earlier: this.#textsOf(id) };
    }
  }

  /** Searches for all queries together; each document is read once. */
  async #passagesFor({ search }: StrategyStep): Promise<Map<string, string[]>> {
    if (search === undefined) return new Map();
    const asked = this.#queries.map(({ id, text }) => {
      const texts = this.#textsOf(id).map((written) => written.map((one) => one.text));
      return { id, text: search.textFor(text, texts) };
    });
    const firstPass = new FirstPass(this.#openSearch(), this.#options.signal);
    const found = await firstPass.passagesFor(asked, search.documents, search.skipsShown ? this.#shown : new Map());
    for (const [id, hits] of found) {
      const shown = this.#shown.get(id) ?? new Set();
      for (const hit of hits) shown.add(hit.id);
      this.#shown.set(id, shown);
    }
    return new Map([...found].map(([id, hits]) => [id, hits.map(({ text }) => text)]));
  }

  get #bm25() {
    const { k1, b, analyzer } = { ...defaultRetrievalSettings(), ...this.#options.retrieval };
    return { k1, b, analyzer };
  }

  #openSearch(): CorpusSearch {
    const { dataset, retrieval, signal, progress } = this.#options;
    const settings = { ...defaultRetrievalSettings(), ...retrieval };
    this.#search ??= new CorpusSearch(dataset, settings, { signal, progress });
    return this.#search;
  }

  async #taskOf(step: StrategyStep, isLast: boolean): Promise<ExpansionTask<StepQuery>> {
    const { strategy, settings, variant, examples, about, seed } = this.#plan;
    const { timings = true, dataset, signal } = this.#options;
    const { samples, ...sampling } = settings;
    const texts = step.texts(settings);
    const inputOf = ({ text, passages, earlier }: StepQuery): StepInput => ({
      ...{ query: text, passages, examples, variant },
      texts: earlier.map((written) => written.map((one) => one.text)),
    });
    const searched = { corpus: await dataset.corpusHash(signal), ...this.#bm25, documents: step.search?.documents };
    return {
      name: isLast ? strategy.name : undefined,
      settings: {
        strategy: strategy.name,
        ...(!isLast && { step: step.name }),
        prompt: { name: strategy.name, text: templateOf(strategy, { settings, variant, examples }) },
        ...{ ...sampling, seed, samples, timings },
        ...(step.search !== undefined && { searched }),
      },
      about: isLast ? about : { strategy: strategy.name, step: step.name },
      identityOf: ({ id, text, passages, earlier }) => [id, text, passages, earlier.map(keysOf)],
      requestsFor: (query) => {
        const input = inputOf(query);
        return Array.from({ length: texts }, (_none, at): GenerationRequest => {
          const prompt = step.promptFor(input, at, settings);
          const seedOf = deriveSeed(seed, query.id, ...(strategy.steps.length > 1 ? [step.name] : []), at);
          return { id: `${query.id}/${at}`, ...prompt, sampling, seed: seedOf };
        });
      },
      texts,
      expansions: isLast ? strategy.expansions(settings) : texts,
      expansionsOf: ({ id, earlier }, written) =>
        isLast
          ? strategy.make([...earlier, written]).map((made, sample) => recordOf(id, sample, made, timings))
          : written.map((one, sample) => toExpansion(id, sample, one, timings)),
      maxTokens: sampling.maxTokens,
    };
  }
}

function keysOf(texts: readonly Written[]): string[] {
  return texts.map(({ key }) => key);
}

/** An expansion bears the cost of every text that it was made of. */
function recordOf(query: string, sample: number, { text, of }: Made, timings: boolean): Expansion {
  const [first] = of;
  const sum = (pick: (one: Written) => number) => of.reduce((total, one) => total + pick(one), 0);
  const written = of.map((one) => one.raw ?? one.text).join('\n\n');
  const emptyBecause = text === '' ? of.find((one) => one.emptyBecause !== undefined)?.emptyBecause : undefined;
  return {
    ...{ query, sample, text },
    ...(written !== text && { raw: written }),
    ...(emptyBecause !== undefined && { emptyBecause }),
    finish: of.some(({ finish }) => finish === 'length') ? 'length' : 'stop',
    promptTokens: sum((one) => one.promptTokens),
    completionTokens: sum((one) => one.completionTokens),
    ...logProbabilityOf(of),
    milliseconds: timings ? Math.round(sum((one) => one.milliseconds)) : 0,
    key: of.length === 1 ? first!.key : contentKey(keysOf(of)),
  };
}

/** The mean over the tokens of all texts, if it is known of each. */
function logProbabilityOf(texts: readonly Written[]): Pick<Expansion, 'logProbability'> {
  const tokens = texts.reduce((sum, one) => sum + one.completionTokens, 0);
  if (tokens === 0 || texts.some((one) => one.logProbability === undefined)) return {};
  const total = texts.reduce((sum, one) => sum + one.logProbability! * one.completionTokens, 0);
  return { logProbability: Math.floor((total / tokens) * 1e4) / 1e4 };
}

/** The files are those of the last step; what was written is counted over all steps. */
function sumOf(results: readonly ExpandResult[]): ExpandResult {
  const { files, statistics } = results.at(-1)!;
  const all = results.map((result) => result.statistics);
  const sum = (pick: (one: ExpandResult['statistics']) => number) => all.reduce((total, one) => total + pick(one), 0);
  const seconds = sum((one) => one.seconds);
  const tokens = sum((one) => one.tokensPerSecond * one.seconds);
  return {
    files,
    statistics: {
      ...statistics,
      texts: sum((one) => one.texts),
      reused: sum((one) => one.reused),
      repeated: sum((one) => one.repeated),
      shortened: sum((one) => one.shortened),
      seconds: Number(seconds.toFixed(3)),
      tokensPerSecond: seconds === 0 ? 0 : Number((tokens / seconds).toFixed(1)),
    },
  };
}
