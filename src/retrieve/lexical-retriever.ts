import { TypedRun } from '../measures/index.ts';
import {
  type AnalyzerName,
  type Bm25Fields,
  Bm25Index,
  type LexicalIndex,
  type LexicalQuery,
  type QueryRepeats,
  repeatQuery,
} from '../search/index.ts';
import { describeFeedback, type Feedback, isTermFeedback, refusedFeedback, repeatQueries } from './feedback.ts';
import { LexicalFeedback } from './lexical-feedback.ts';
import { type ExpandedQuery, type Retrieval, type RetrieveOptions, type Retriever, selvesToDrop } from './retriever.ts';

export interface LexicalSettings {
  /** How often the query is repeated before its expansions. */
  queryRepeats: QueryRepeats;
  /** Settings of the index, for reports. */
  k1: number;
  b: number;
  analyzer: AnalyzerName;
  fields: Bm25Fields;
}

/** BM25; an expanded query is the query repeated, then its expansions. */
export class LexicalRetriever implements Retriever {
  readonly name = 'bm25';
  readonly notes = [];
  readonly #index: LexicalIndex;
  readonly #settings: LexicalSettings;
  readonly #feedback: Feedback | undefined;

  constructor(index: LexicalIndex, settings: LexicalSettings, feedback?: Feedback | undefined) {
    this.#index = index;
    this.#settings = settings;
    this.#feedback = feedback;
  }

  get size(): number {
    return this.#index.size;
  }

  get settings(): Record<string, string | number | boolean> {
    const { k1, b, analyzer, fields, queryRepeats } = this.#settings;
    const facts = Object.entries(this.#index.facts ?? {}).map(([name, fact]) => [`BM25 ${name}`, fact]);
    const own = { k1, b, analyzer, fields, 'query repeats': queryRepeats, ...describeFeedback(this.#feedback) };
    return { ...own, ...Object.fromEntries(facts) };
  }

  async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
    const started = performance.now();
    const texts = repeatQueries(queries, this.#feedback).map(({ text, expansions }) =>
      repeatQuery(text, expansions, this.#settings.queryRepeats),
    );
    const ids = queries.map(({ id }) => id);
    const hits = await this.#index.search(await this.#refine(texts, options.signal), options.depth, {
      signal: options.signal,
      dropSelf: selvesToDrop(queries, options),
    });
    return { run: new TypedRun(ids, hits), encodeMilliseconds: 0, searchMilliseconds: performance.now() - started };
  }

  /** Returns what is searched in the end: the texts, or what feedback makes of them. */
  async #refine(texts: readonly string[], signal: AbortSignal | undefined): Promise<readonly LexicalQuery[]> {
    const feedback = this.#feedback;
    if (feedback === undefined || !isTermFeedback(feedback)) return texts;
    const index = this.#index;
    if (!(index instanceof Bm25Index)) throw refusedFeedback(feedback.name);
    return new LexicalFeedback(index, feedback, this.#settings.analyzer).expand(texts, signal);
  }
}
