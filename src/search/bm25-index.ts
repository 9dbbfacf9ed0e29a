import { join } from 'node:path';
import { type Document, documentText } from '../data/index.ts';
import type { ScoredDocument } from '../measures/index.ts';
import { contentKey, type Progress, UsageError } from '../system/index.ts';
import { Breather } from './breather.ts';
import { ANALYZER_VERSION, splitWords, wordTerm } from './english-analyzer.ts';
import { buildInvertedLists, type InvertedLists } from './inverted-lists.ts';
import { LISTS_FORMAT, readInvertedLists, writeInvertedLists } from './inverted-lists-file.ts';
import { ANSERINI_BM25, type Bm25Settings } from './lucene-bm25.ts';
import { checkSearch } from './search-checks.ts';
import type { SearchIndex, SearchOptions } from './search-index.ts';
import { TopScores } from './top-scores.ts';

/** A query whose lists are together longer than this part of the corpus is scored without a list of documents touched. */
const DENSE_SHARE = 8;

/** Spellings of query words whose term is remembered; then the memory starts anew. */
const REMEMBERED_WORDS = 100_000;

export interface Bm25BuildOptions {
  /** Default 0.9. */
  k1?: number | undefined;
  /** Default 0.4. */
  b?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Number of documents, where it is known: for the progress alone. */
  count?: number | undefined;
}

export interface Bm25OpenOptions extends Bm25BuildOptions {
  /** Where indexes are cached. */
  folder: string;
  /** Content hash of the corpus; with the settings it names the index. */
  corpusHash: string;
}

/**
 * Lexical search by BM25 (Robertson and Zaragoza 2009), equal to Lucene's as Anserini runs it, term by term and bit by
 * bit: its English analysis, its one-byte document lengths, its 32-bit arithmetic. A query is a bag of words: a word
 * that stands in it three times weighs three times.
 */
export class Bm25Index implements SearchIndex<readonly string[]> {
  readonly #lists: InvertedLists;
  /** Score of each document under the query at hand; zero in between // [documents] */
  readonly #sums: Float64Array;
  /** Documents with a score // [documents] */
  readonly #touched: Uint32Array;
  /** Spelling → term number; undefined for a word that no document holds. */
  readonly #words = new Map<string, number | undefined>();
  /** Queries are scored one after another: they share the sums. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(lists: InvertedLists) {
    this.#lists = lists;
    this.#sums = new Float64Array(lists.ids.length);
    this.#touched = new Uint32Array(lists.ids.length);
  }

  /**
   * Reads the documents once and indexes title and text as one field.
   * @throws DataError for a doubled id
   * @throws UsageError for k1 below 0 or b outside 0 to 1
   */
  static async build(
    documents: Iterable<Document> | AsyncIterable<Document>,
    { k1 = ANSERINI_BM25.k1, b = ANSERINI_BM25.b, ...options }: Bm25BuildOptions = {},
  ): Promise<Bm25Index> {
    checkSettings({ k1, b });
    return new Bm25Index(await buildInvertedLists(indexedTexts(documents), { k1, b, ...options }));
  }

  /**
   * The index of a corpus, from the cache where it stands there whole, else built and kept. `documents` is called only
   * when it must be built.
   * @throws DataError for a doubled id
   * @throws ResourceError when the disk is full
   * @throws UsageError for k1 below 0 or b outside 0 to 1
   */
  static async open(
    documents: () => Iterable<Document> | AsyncIterable<Document>,
    { folder, corpusHash, ...options }: Bm25OpenOptions,
  ): Promise<Bm25Index> {
    const { k1 = ANSERINI_BM25.k1, b = ANSERINI_BM25.b, signal } = options;
    checkSettings({ k1, b });
    const key = contentKey({ format: LISTS_FORMAT, analyzer: ANALYZER_VERSION, corpusHash, k1, b });
    const file = join(folder, `bm25-${key.slice(0, 32)}.index`);
    const kept = await readInvertedLists(file, key, signal);
    if (kept !== undefined) return new Bm25Index(kept);
    const index = await Bm25Index.build(documents(), options);
    await writeInvertedLists(file, key, index.#lists, signal);
    return index;
  }

  get size(): number {
    return this.#lists.ids.length;
  }

  /** Documents that share no term with a query are not found. @throws UsageError @throws AbortedError */
  search(queries: readonly string[], k: number, options: SearchOptions = {}): Promise<ScoredDocument[][]> {
    const result = this.#last.then(() => this.#searchAll(queries, k, options));
    this.#last = result.catch(() => {});
    return result;
  }

  /** There is nothing to end; it stands here for callers that close any index. */
  async close(): Promise<void> {}

  async #searchAll(
    queries: readonly string[],
    k: number,
    { signal, dropSelf, onQueries }: SearchOptions,
  ): Promise<ScoredDocument[][]> {
    checkSearch(queries.length, k, dropSelf);
    const breather = new Breather(signal);
    await breather.rest();
    const wanted = Math.min(this.size, dropSelf === undefined ? k : k + 1);
    const top = new TopScores(Math.max(1, wanted), 'number');
    const found: ScoredDocument[][] = [];
    for (const [row, query] of queries.entries()) {
      const hits = await this.#searchOne(query, top, breather);
      found.push(dropSelf === undefined ? hits : hits.filter(({ id }) => id !== dropSelf[row]).slice(0, k));
      onQueries?.(1);
    }
    return found;
  }

  async #searchOne(query: string, top: TopScores, breather: Breather): Promise<ScoredDocument[]> {
    const terms = this.#countTerms(query);
    const dense = this.#isDense(terms);
    let touched = 0;
    try {
      for (const [term, count] of terms) {
        if (dense) this.#addCommonTerm(term, count);
        else touched = this.#addTerm(term, count, touched);
        if (breather.due) await breather.rest();
      }
    } finally {
      if (dense) this.#offerAllSums(top);
      else this.#offerSums(touched, top);
    }
    const { scores, numbers } = top.take();
    const hits = new Array<ScoredDocument>(numbers.length);
    for (let at = 0; at < numbers.length; at++) hits[at] = { id: this.#lists.ids[numbers[at]!]!, score: scores[at]! };
    return hits;
  }

  /** Whether the terms touch so much of the corpus that looking at every sum is quicker than a list of those touched. */
  #isDense(terms: ReadonlyMap<number, number>): boolean {
    const { starts } = this.#lists;
    let postings = 0;
    for (const term of terms.keys()) postings += starts[term + 1]! - starts[term]!;
    return postings * DENSE_SHARE >= this.size;
  }

  #countTerms(query: string): Map<number, number> {
    const counts = new Map<number, number>();
    for (const word of splitWords(query)) {
      const term = this.#term(word);
      if (term !== undefined) counts.set(term, (counts.get(term) ?? 0) + 1);
    }
    return counts;
  }

  #term(word: string): number | undefined {
    const known = this.#words.get(word);
    if (known !== undefined || this.#words.has(word)) return known;
    if (this.#words.size >= REMEMBERED_WORDS) this.#words.clear();
    const spelling = wordTerm(word);
    const term = spelling === undefined ? undefined : this.#lists.terms.get(spelling);
    this.#words.set(word, term);
    return term;
  }

  /** Adds a term's share to the sums, each share a 32-bit float and the sum a double, as Lucene has it. */
  #addTerm(term: number, count: number, touched: number): number {
    const { documents, denominators, starts, idf } = this.#lists;
    const sums = this.#sums;
    const list = this.#touched;
    const weight = Math.fround(count * idf[term]!);
    const end = starts[term + 1]!;
    let found = touched;
    for (let at = starts[term]!; at < end; at++) {
      const share = Math.fround(weight - Math.fround(weight / denominators[at]!));
      if (share === 0) continue;
      const document = documents[at]!;
      const before = sums[document]!;
      if (before === 0) list[found++] = document;
      sums[document] = before + share;
    }
    return found;
  }

  /** {@link #addTerm} without a list of the documents touched. */
  #addCommonTerm(term: number, count: number): void {
    const { documents, denominators, starts, idf } = this.#lists;
    const sums = this.#sums;
    const weight = Math.fround(count * idf[term]!);
    const end = starts[term + 1]!;
    for (let at = starts[term]!; at < end; at++) {
      sums[documents[at]!]! += Math.fround(weight - Math.fround(weight / denominators[at]!));
    }
  }

  /** Hands the sums on and sets them back to zero. */
  #offerSums(touched: number, top: TopScores): void {
    const sums = this.#sums;
    const list = this.#touched;
    let threshold = top.threshold;
    for (let at = 0; at < touched; at++) {
      const document = list[at]!;
      const score = Math.fround(sums[document]!);
      sums[document] = 0;
      if (score < threshold) continue;
      top.offer(score, document);
      threshold = top.threshold;
    }
  }

  /** {@link #offerSums} for all documents that have a score. */
  #offerAllSums(top: TopScores): void {
    const sums = this.#sums;
    let least = leastSum(top.threshold);
    for (let document = 0; document < sums.length; document++) {
      if (sums[document]! < least) continue; // One comparison, which hardly ever fails, also passes over the zeros.
      top.offer(Math.fround(sums[document]!), document);
      least = leastSum(top.threshold);
    }
    sums.fill(0);
  }
}

/** A positive bound below every sum that rounds to the threshold or above. */
function leastSum(threshold: number): number {
  return Math.max(Number.MIN_VALUE, threshold * (1 - 2 ** -23));
}

async function* indexedTexts(documents: Iterable<Document> | AsyncIterable<Document>) {
  for await (const document of documents) yield { id: document.id, text: documentText(document) };
}

function checkSettings({ k1, b }: Bm25Settings): void {
  if (!(k1 >= 0 && Number.isFinite(k1))) {
    throw new UsageError(`k1 is ${k1}`, { mend: 'Give a number of 0 or above; 0.9 is usual.' });
  }
  if (!(b >= 0 && b <= 1)) throw new UsageError(`b is ${b}`, { mend: 'Give a number from 0 to 1; 0.4 is usual.' });
}
