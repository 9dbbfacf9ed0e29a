import { evaluateRun, type Run, relevantSelves } from '../measures/index.ts';
import type { CorpusSearch, Retriever } from '../retrieve/index.ts';
import { REPORTED_MEASURES } from './arms.ts';
import { meanByQuery } from './paired-tests.ts';
import type { Topics } from './topics.ts';
import { type TuningPoint, tuneAlpha } from './tune-alpha.ts';

/** An arm that was searched and scored. */
export interface ScoredArm {
  name: string;
  /** Undefined if expansions have no weight: for raw queries and lexical search. */
  alpha: number | undefined;
  tuning: TuningPoint[];
  /** Means over queries, then over seeds, by display name. */
  measures: Record<string, number>;
  /** The tuned measure under each seed. */
  bySeed: number[];
  /** The tuned measure of each query, a mean over seeds. */
  values: Map<string, number>;
}

/** The queries of an arm: the development queries, and the test queries once per seed. */
export interface ArmTopics {
  name: string;
  dev: Topics | undefined;
  test: readonly Topics[];
}

export interface JudgeOptions {
  /** A dense judge weights expansions by alpha; a lexical one repeats the query before them. */
  kind: 'dense' | 'bm25';
  measure: string;
  alphas: readonly number[];
  depth: number;
  keepSelf: boolean;
  signal?: AbortSignal | undefined;
}

export interface ScoreOptions {
  /** Fixed alpha, instead of tuning on the arm's development queries. */
  alpha?: number | undefined;
  /**
   * Receives each run of the test queries as soon as it is scored. Runs are not kept: a thousand documents per query, for
   * every arm and seed, do not fit into memory.
   */
  onRun?: ((run: Run, at: number) => Promise<void>) | undefined;
}

/** Searches and scores arms with one search method. */
export class Judge {
  readonly #search: CorpusSearch;
  readonly #options: JudgeOptions;

  constructor(search: CorpusSearch, options: JudgeOptions) {
    this.#search = search;
    this.#options = options;
  }

  async score(arm: ArmTopics, { alpha, onRun }: ScoreOptions = {}): Promise<ScoredArm> {
    const { kind, measure } = this.#options;
    const isExpanded = arm.test.some(({ queries }) => queries.some(({ expansions }) => expansions.length > 0));
    const isWeighed = kind === 'dense' && isExpanded;
    const isTuned = isWeighed && alpha === undefined && arm.dev !== undefined;
    const tuned = isTuned ? await tuneAlpha(this.#search, arm.dev!, { ...this.#options, kind: 'dense' }) : undefined;
    const chosen = isWeighed ? (alpha ?? tuned?.alpha ?? this.#options.alphas[0]) : undefined;
    const retriever = await this.#retriever(chosen);
    const values: Map<string, number>[] = [];
    const means: Record<string, number>[] = [];
    const measures = [...new Set([...REPORTED_MEASURES, measure])];
    for (const [at, topics] of arm.test.entries()) {
      const { run } = await this.#retrieve(retriever, topics);
      const scores = evaluateRun(topics.qrels, run, { measures, complete: true });
      means.push(scores.mean);
      values.push(new Map([...scores.perQuery].map(([id, all]) => [id, all[measure] ?? 0])));
      await onRun?.(run, at);
    }
    return {
      name: arm.name,
      ...{ alpha: chosen, tuning: tuned?.points ?? [] },
      measures: meanOf(means),
      bySeed: means.map((one) => one[measure] ?? 0),
      values: meanByQuery(values),
    };
  }

  #retriever(alpha: number | undefined): Promise<Retriever> {
    const { kind } = this.#options;
    return this.#search.retriever(kind, alpha === undefined ? {} : { alpha });
  }

  #retrieve(retriever: Retriever, { queries, qrels }: Topics) {
    const { depth, keepSelf, signal } = this.#options;
    return retriever.retrieve(queries, { depth, dropSelf: !keepSelf, keepSelfOf: relevantSelves(qrels), signal });
  }
}

function meanOf(all: readonly Record<string, number>[]): Record<string, number> {
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, all.reduce((sum, one) => sum + (one[name] ?? 0), 0) / all.length]),
  );
}
