import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Document } from '../../data/index.ts';
import { type HitList, Hits } from '../../measures/index.ts';
import { CacheKind, contentKey, type Progress, UsageError } from '../../system/index.ts';
import { Breather } from '../breather.ts';
import type { SearchIndex, SearchOptions } from '../search-index.ts';
import { checkSearch, withoutSelf } from '../search-index.ts';
import { type RankedScores, TopScores } from '../top-scores.ts';
import { type Analyzer, type AnalyzerName, openAnalyzer } from './analyzers.ts';
import { Bm25Scorer, countPostings, isDense, type Postings, type TermQueries } from './bm25-scorer.ts';
import { Bm25Thread } from './bm25-thread.ts';
import { collectDocumentTerms, type DocumentTerms } from './document-terms.ts';
import { type Bm25Fields, fieldCount, fieldTexts } from './field-texts.ts';
import { buildInvertedLists, type InvertedLists } from './inverted-lists.ts';
import { LISTS_FORMAT, readInvertedLists, writeInvertedLists } from './inverted-lists-file.ts';
import { ANSERINI_BM25, type Bm25Settings } from './lucene-bm25.ts';
import { type ListSegment, mergeInvertedLists } from './merge-lists.ts';
import { pickRows } from './sparse-rows.ts';
import { type LexicalQuery, QueryAnalyzer } from './term-queries.ts';
import { type TermShare, termShares } from './term-shares.ts';

/**
 * Minimum number of steps for which a batch is searched by threads: postings, documents visited, and hits, which count as
 * HIT_STEPS each. For fewer steps, starting the threads costs more than they save.
 */
const STEPS_WORTH_THREADS = 10_000_000;
const HIT_STEPS = 20;

/** Steps per message to a thread: few enough to react to an abort soon. */
const STEPS_AT_A_TIME = 4_000_000;

/** A query with fewer postings is scored without looking at the clock: a millisecond. */
const POSTINGS_WITHOUT_PAUSE = 200_000;

/** Queries to analyse before the first of them are searched. */
const QUERIES_PER_BLOCK = 64;

/** Stretches of queries queued at a thread while it computes: one, so that it never waits. */
const STRETCHES_PER_THREAD = 2;

export interface Bm25BuildOptions {
  /** Default 0.9. */
  k1?: number | undefined;
  /** Default 0.4. */
  b?: number | undefined;
  /** Default `flat`. */
  fields?: Bm25Fields | undefined;
  /** Default `english`. */
  analyzer?: AnalyzerName | undefined;
  /** Threads for large batches; small ones are searched by the calling thread. Default: one per core. */
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Number of documents, if known: only for the progress. */
  count?: number | undefined;
}

export interface Bm25OpenOptions extends Bm25BuildOptions {
  /** Folder of cached indexes. */
  folder: string;
  /** Content hash of the corpus; part of the name of the index, with the settings. */
  corpusHash: string;
}

export const BM25_CACHE = new CacheKind({ name: 'bm25', format: LISTS_FORMAT, what: 'BM25 indexes of corpora' });

/**
 * Lexical search by BM25 (Robertson and Zaragoza 2009), equal to Lucene's as Anserini runs it, term by term and bit by
 * bit: its English analysis, its one-byte document lengths, its 32-bit arithmetic. A query is a bag of words: a word
 * that occurs three times counts three times.
 *
 * Large batches are split over threads, which share the lists and use 12 bytes per document each. The number of threads
 * does not change the scores.
 */
export class Bm25Index implements SearchIndex<readonly LexicalQuery[]> {
  readonly #lists: InvertedLists;
  readonly #queries: QueryAnalyzer;
  readonly #postings: Postings;
  readonly #threadCount: number;
  #scorer: Bm25Scorer | undefined;
  /** Started by the first large batch. */
  #threads: Bm25Thread[] = [];
  /** Queries are scored one after another, because they share the sums. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(lists: InvertedLists, analyzer: Analyzer, threads: number) {
    const { starts, postings, denominators, ids } = lists;
    this.#lists = lists;
    this.#queries = new QueryAnalyzer(lists, analyzer);
    this.#postings = { ...postings, starts, denominators, size: ids.length };
    this.#threadCount = threads;
  }

  /**
   * Reads the documents once and indexes title and text.
   * @throws DataError for a duplicate id
   * @throws UsageError for k1 below 0, b outside 0 to 1, or a thread count below 1
   */
  static async build(
    documents: Iterable<Document> | AsyncIterable<Document>,
    { k1 = ANSERINI_BM25.k1, b = ANSERINI_BM25.b, threads = availableParallelism(), ...options }: Bm25BuildOptions = {},
  ): Promise<Bm25Index> {
    checkSettings({ k1, b });
    checkThreads(threads);
    const analyzer = await openAnalyzer(options.analyzer);
    const fields = options.fields ?? 'flat';
    const how = { ...options, k1, b, analyzer, fields: fieldCount(fields) };
    const lists = await buildInvertedLists(fieldTexts(documents, fields), how);
    return new Bm25Index(lists, analyzer, threads);
  }

  /**
   * Opens an index over the lists of several segments, without the documents that were deleted from them. Its scores are those of an
   * index that was built from the documents that are left.
   */
  static async ofSegments(
    segments: readonly ListSegment[],
    options: Pick<Bm25BuildOptions, 'k1' | 'b' | 'fields' | 'analyzer' | 'threads' | 'signal'> = {},
  ): Promise<Bm25Index> {
    const { k1 = ANSERINI_BM25.k1, b = ANSERINI_BM25.b, threads = availableParallelism(), fields = 'flat' } = options;
    checkSettings({ k1, b });
    checkThreads(threads);
    const how = { k1, b, fields: fieldCount(fields), signal: options.signal };
    return new Bm25Index(await mergeInvertedLists(segments, how), await openAnalyzer(options.analyzer), threads);
  }

  /**
   * Opens the index of a corpus from the cache. If there is no complete one, it is built and stored; only then is
   * `documents` called.
   * @throws DataError for a duplicate id
   * @throws ResourceError if the disk is full
   * @throws UsageError for k1 below 0, b outside 0 to 1, or a thread count below 1
   */
  static async open(
    documents: () => Iterable<Document> | AsyncIterable<Document>,
    { folder, corpusHash, ...options }: Bm25OpenOptions,
  ): Promise<Bm25Index> {
    const { k1 = ANSERINI_BM25.k1, b = ANSERINI_BM25.b, threads = availableParallelism(), signal } = options;
    checkSettings({ k1, b });
    checkThreads(threads);
    const analyzer = await openAnalyzer(options.analyzer);
    const { fields = 'flat' } = options;
    const key = contentKey({ format: LISTS_FORMAT, analyzer: analyzer.version, corpusHash, k1, b, fields });
    const file = join(folder, `bm25-${key.slice(0, 32)}.index`);
    const kept = await readInvertedLists(file, key, signal);
    if (kept !== undefined) return new Bm25Index(kept, analyzer, threads);
    const index = await Bm25Index.build(documents(), options);
    await writeInvertedLists(file, key, index.#lists, signal);
    return index;
  }

  get size(): number {
    return this.#lists.ids.length;
  }

  /** Ids of all documents, in no particular order. */
  get ids(): readonly string[] {
    return this.#lists.ids;
  }

  /**
   * Returns the inverse document frequencies of the distinct terms of a text; undefined for a term that no document holds. Stop
   * words are left out.
   */
  idfsOf(text: string): (number | undefined)[] {
    return this.#queries.idfsOf(text);
  }

  /** Returns how often each term occurs in a text, in the order of the text, with those that the corpus lacks. */
  countTerms(text: string): Map<string, number> {
    return this.#queries.countTerms(text);
  }

  /** Returns the number of documents with a term; of the last field, the text, if there are several. */
  documentsWith(term: string): number {
    const { fields, starts } = this.#lists;
    const number = fields.at(-1)!.get(term);
    return number === undefined ? 0 : starts[number + 1]! - starts[number]!;
  }

  /**
   * Returns the terms of some documents, by number, in one pass over the index.
   * @throws AbortedError
   */
  documentTerms(numbers: Iterable<number>, signal?: AbortSignal): Promise<Map<number, DocumentTerms>> {
    return collectDocumentTerms(this.#lists, numbers, new Breather(signal));
  }

  /**
   * Returns what each term of a query adds to the scores of some documents: they sum to the score that {@link search} gives, which is
   * rounded to 32 bits. Terms that a document lacks, and documents that the corpus lacks, are left out.
   * @returns document id → shares, in the order of the query
   */
  async explain(query: LexicalQuery, ids: readonly string[]): Promise<Map<string, TermShare[]>> {
    const { terms, weights } = await this.#queries.termQueries([query], new Breather(undefined));
    return termShares(this.#lists, { terms, weights }, ids);
  }

  /** Documents that share no term with a query are not found. @throws UsageError @throws AbortedError */
  search(queries: readonly LexicalQuery[], k: number, options: SearchOptions = {}): Promise<Hits> {
    const result = this.#last.then(() => this.#searchAll(queries, k, options));
    this.#last = result.catch(() => {});
    return result;
  }

  /** Ends the threads and waits for their end. A later large batch starts them again. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => thread.close()));
  }

  async #searchAll(
    queries: readonly LexicalQuery[],
    k: number,
    { signal, dropSelf, onQueries }: SearchOptions,
  ): Promise<Hits> {
    checkSearch(queries.length, k, dropSelf);
    const breather = new Breather(signal);
    await breather.rest();
    const wanted = Math.max(1, Math.min(this.size, dropSelf === undefined ? k : k + 1));
    const documentId = (number: number) => this.#lists.ids[number]!;
    const found = new Array<HitList>(queries.length);
    const give = (row: number, hits: HitList) => {
      found[row] = dropSelf === undefined ? hits : withoutSelf(hits, dropSelf[row], k, documentId);
      onQueries?.(1);
    };
    const blocks = this.#analyze(queries, wanted, breather);
    const first = await blocks.next();
    if (first.done) return new Hits(found, documentId);
    // The first queries tell how much work all of them are.
    const steps = sum(first.value.steps) * (queries.length / first.value.steps.length);
    if (this.#threadCount > 1 && steps >= STEPS_WORTH_THREADS) {
      await this.#searchInThreads(cutStretches(first.value, blocks), wanted, give, breather);
    } else {
      await this.#searchHere(first.value, wanted, give, breather);
      for await (const block of blocks) await this.#searchHere(block, wanted, give, breather);
    }
    return new Hits(found, documentId);
  }

  /** Turns queries into terms, some at a time, so that threads work on the first while the next are analysed. */
  async *#analyze(queries: readonly LexicalQuery[], k: number, breather: Breather): AsyncGenerator<AnalyzedQueries> {
    for (let first = 0; first < queries.length; first += QUERIES_PER_BLOCK) {
      const batch = await this.#queries.termQueries(queries.slice(first, first + QUERIES_PER_BLOCK), breather);
      yield { first, batch, steps: this.#countSteps(batch, k) };
    }
  }

  async #searchHere({ first, batch }: AnalyzedQueries, k: number, give: Give, breather: Breather): Promise<void> {
    this.#scorer ??= new Bm25Scorer(this.#postings);
    const scorer = this.#scorer;
    const top = new TopScores(k, 'number');
    for (let query = 0; query + 1 < batch.starts.length; query++) {
      let ranked: RankedScores;
      const postings = countPostings(batch, query, this.#postings);
      const pauses = postings > POSTINGS_WITHOUT_PAUSE;
      scorer.begin(postings);
      try {
        for (let at = batch.starts[query]!; at < batch.starts[query + 1]!; at++) {
          scorer.add(batch.terms[at]!, batch.weights[at]!);
          if (pauses && breather.due) await breather.rest();
        }
        if (breather.due) await breather.rest();
      } finally {
        ranked = scorer.take(top);
      }
      give(first + query, ranked);
    }
  }

  async #searchInThreads(
    stretches: AsyncGenerator<{ first: number; queries: TermQueries }>,
    k: number,
    give: Give,
    breather: Breather,
  ): Promise<void> {
    if (this.#threads.length === 0) {
      this.#threads = Array.from({ length: this.#threadCount }, () => new Bm25Thread(this.#postings));
    }
    let failed = false;
    const drive = async (thread: Bm25Thread) => {
      for (let next = await stretches.next(); !failed && !next.done; next = await stretches.next()) {
        const { first, queries } = next.value;
        const { scores, numbers, counts } = await thread.rank({ queries, k });
        let at = 0;
        for (const [row, count] of counts.entries()) {
          const end = at + count;
          give(first + row, { numbers: numbers.subarray(at, end), scores: scores.subarray(at, end) });
          at = end;
        }
        if (breather.due) await breather.rest();
      }
    };
    const drivers = this.#threads.flatMap((thread) =>
      Array.from({ length: STRETCHES_PER_THREAD }, () => drive(thread)),
    );
    try {
      await Promise.all(drivers);
    } catch (error) {
      failed = true;
      await this.close();
      throw error;
    }
  }

  /** Estimated work of each query. */
  #countSteps(batch: TermQueries, k: number): Float64Array {
    return Float64Array.from({ length: batch.starts.length - 1 }, (_nothing, query) => {
      const postings = countPostings(batch, query, this.#postings);
      const looked = isDense(postings, this.size) ? this.size : postings;
      return postings + looked + HIT_STEPS * Math.min(k, postings);
    });
  }
}

/** Receives the hits of a query. */
type Give = (row: number, hits: HitList) => void;

/** Some of the queries of a search, as terms. */
interface AnalyzedQueries {
  /** Row of the first query. */
  first: number;
  batch: TermQueries;
  /** Estimated work of each query // [queries] */
  steps: Float64Array;
}

/** Divides blocks of queries into stretches of similar work. */
async function* cutStretches(first: AnalyzedQueries, others: AsyncIterable<AnalyzedQueries>) {
  yield* cutBlock(first);
  for await (const block of others) yield* cutBlock(block);
}

function* cutBlock({ first, batch, steps }: AnalyzedQueries): Generator<{ first: number; queries: TermQueries }> {
  let start = 0;
  let total = 0;
  for (let query = 0; query < steps.length; query++) {
    total += steps[query]!;
    if (total < STEPS_AT_A_TIME && query + 1 < steps.length) continue;
    yield { first: first + start, queries: pickRows(batch, start, query + 1) };
    start = query + 1;
    total = 0;
  }
}

function sum(numbers: Float64Array): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** @throws UsageError for k1 below 0, or b outside 0 to 1 */
export function checkSettings({ k1, b }: Bm25Settings): void {
  if (!(k1 >= 0 && Number.isFinite(k1))) {
    throw new UsageError(`k1 is ${k1}`, { fix: 'Pass a number of at least 0; the default is 0.9.' });
  }
  if (!(b >= 0 && b <= 1)) throw new UsageError(`b is ${b}`, { fix: 'Pass a number from 0 to 1; the default is 0.4.' });
}

function checkThreads(threads: number): void {
  if (Number.isSafeInteger(threads) && threads >= 1) return;
  throw new UsageError(`the number of threads is ${threads}`, { fix: 'Pass at least 1, or omit the setting.' });
}
