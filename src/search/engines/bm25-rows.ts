import type { Document } from '../../data/index.ts';
import { DataError, throwIfAborted } from '../../system/index.ts';
import type { Analyzer } from '../bm25/analyzers.ts';
import type { Bm25Fields } from '../bm25/field-texts.ts';
import { fieldTexts } from '../bm25/field-texts.ts';
import type { IndexedText } from '../bm25/inverted-lists.ts';
import { type Bm25Settings, denominator, inverseNorm } from '../bm25/lucene-bm25.ts';
import { pickRows, type SparseRows } from '../bm25/sparse-rows.ts';
import { TermCounter } from '../bm25/term-counter.ts';
import { type LexicalQuery, QueryAnalyzer } from '../bm25/term-queries.ts';
import type { TermStatistics } from '../bm25/term-statistics.ts';
import { Breather } from '../breather.ts';
import type { QueryRows } from '../search-by-calls.ts';
import type { SearchOptions } from '../search-index.ts';
import type { EngineRows } from './engine.ts';
import type { EngineSource } from './engine-index.ts';

/**
 * The term that every document without a word has, and no query: engines refuse an empty row. The term number `n` of the statistics is
 * `n + 1` in an engine.
 */
const NO_TERM = 0;

/** Bytes of a term and its weight. */
const TERM_BYTES = 8;

export interface Bm25RowsOptions extends Bm25Settings {
  analyzer: Analyzer;
  fields: Bm25Fields;
}

/**
 * BM25 as an inner product. A term of weight w (its idf times its count in the query) adds w - w / denominator to a document's score, which
 * is w · (1 - 1 / denominator): the first factor is the query's, the second depends on the document alone. So an engine that compares
 * sparse vectors ranks as BM25 here does, but for the rounding of scores to 32 bits.
 */
export class Bm25Rows implements EngineSource<readonly LexicalQuery[], SparseRows> {
  readonly #documents: () => AsyncIterable<Document>;
  readonly #statistics: TermStatistics;
  readonly #options: Bm25RowsOptions;
  readonly #queries: QueryAnalyzer;

  constructor(documents: () => AsyncIterable<Document>, statistics: TermStatistics, options: Bm25RowsOptions) {
    [this.#documents, this.#statistics, this.#options] = [documents, statistics, options];
    this.#queries = new QueryAnalyzer(statistics, options.analyzer);
  }

  get rows(): number {
    return this.#statistics.ids.length;
  }

  /** Number of different terms that rows may have. */
  get dimensions(): number {
    return this.#statistics.terms.length + 1;
  }

  id(row: number): string {
    return this.#statistics.ids[row]!;
  }

  /** Returns the words of a text as terms of the corpus. */
  get analyzer(): QueryAnalyzer {
    return this.#queries;
  }

  /** Reads the corpus again. @throws DataError if it changed since it was counted */
  async *missing(
    present: Uint8Array,
    bytes: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EngineRows<SparseRows>> {
    const weighing = new DocumentWeights(this.#statistics, this.#options);
    const breather = new Breather(signal);
    let batch = new RowBatch();
    let row = 0;
    for await (const text of fieldTexts(this.#documents(), this.#options.fields)) {
      throwIfAborted(signal);
      if (text.id !== this.#statistics.ids[row]) throw changed(text.id);
      if (present[row] === 0) {
        const terms = weighing.weigh(text);
        if (batch.rows.length > 0 && TERM_BYTES * (batch.terms.length + terms.size) > bytes) {
          yield batch.take();
          batch = new RowBatch();
        }
        batch.add(row, text.id, terms);
      }
      row++;
      if (breather.due) await breather.rest();
    }
    if (row !== this.rows) throw changed(undefined);
    if (batch.rows.length > 0) yield batch.take();
  }

  async queries(queries: readonly LexicalQuery[], { signal }: SearchOptions): Promise<QueryRows<SparseRows>> {
    const { starts, terms, weights } = await this.#queries.termQueries(queries, new Breather(signal));
    const rows = { starts, terms: terms.map((term) => term + 1), weights };
    return { count: queries.length, slice: (from, to) => pickRows(rows, from, to) };
  }
}

/** Turns documents into terms and their weights: 1 - 1 / denominator. */
class DocumentWeights {
  readonly #counter: TermCounter;
  readonly #known: number;
  readonly #averages: readonly number[];
  readonly #settings: Bm25Settings;

  constructor(statistics: TermStatistics, { analyzer, k1, b }: Bm25RowsOptions) {
    this.#counter = new TermCounter(analyzer, statistics.fields.length, statistics);
    [this.#known, this.#averages, this.#settings] = [statistics.terms.length, statistics.averages, { k1, b }];
  }

  weigh({ id, texts }: IndexedText): Map<number, number> {
    const weights = new Map<number, number>();
    for (const [field, average] of this.#averages.entries()) {
      const { counts, length } = this.#counter.count(field, texts[field]!);
      const inverse = inverseNorm(length, average, this.#settings);
      for (const [term, frequency] of counts) {
        if (term >= this.#known) throw changed(id);
        const weight = Math.fround(1 - 1 / denominator(frequency, inverse));
        if (weight > 0) weights.set(term + 1, weight);
      }
    }
    if (weights.size === 0) weights.set(NO_TERM, 1);
    return weights;
  }
}

/** Rows that are collected for one call. */
class RowBatch {
  readonly rows: number[] = [];
  readonly ids: string[] = [];
  readonly terms: number[] = [];
  readonly #weights: number[] = [];
  readonly #starts = [0];

  add(row: number, id: string, terms: ReadonlyMap<number, number>): void {
    this.rows.push(row);
    this.ids.push(id);
    for (const [term, weight] of terms) {
      this.terms.push(term);
      this.#weights.push(weight);
    }
    this.#starts.push(this.terms.length);
  }

  take(): EngineRows<SparseRows> {
    const { rows, ids } = this;
    const vectors: SparseRows = {
      starts: Uint32Array.from(this.#starts),
      terms: Uint32Array.from(this.terms),
      weights: Float32Array.from(this.#weights),
    };
    return { rows, ids, vectors };
  }
}

function changed(id: string | undefined): DataError {
  return new DataError('the corpus changed while it was read', { id, fix: 'Run the same command again.' });
}
