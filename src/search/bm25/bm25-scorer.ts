import type { RankedScores, TopScores } from '../top-scores.ts';
import type { InvertedLists } from './inverted-lists.ts';

/** If the lists of a query are together longer than this fraction of the corpus, no list of touched documents is kept. */
const DENSE_SHARE = 8;

/** The part of the inverted lists that scores depend on, which threads share. */
export interface Postings extends Pick<InvertedLists, 'starts' | 'documents' | 'saturations' | 'denominators'> {
  /** Number of documents. */
  size: number;
}

/** Queries as bags of terms. */
export interface TermQueries {
  /** Where each query's terms begin // [queries + 1] */
  starts: Uint32Array;
  /** Term numbers. */
  terms: Uint32Array;
  /** Weight of each term: its idf times its count or weight in the query, as a 32-bit float. */
  weights: Float32Array;
}

/** Scores the complete corpus for one query after another: `begin`, `add` for each of its terms, `take`. */
export class Bm25Scorer {
  readonly #postings: Postings;
  /** Score of each document for the current query; zero between queries // [documents] */
  readonly #sums: Float64Array;
  /** Documents with a score, if the query is not dense // [documents] */
  readonly #touched: Uint32Array;
  #found = 0;
  #dense = false;

  constructor(postings: Postings) {
    this.#postings = postings;
    this.#sums = new Float64Array(postings.size);
    this.#touched = new Uint32Array(postings.size);
  }

  /** @param postings total length of the query's lists */
  begin(postings: number): void {
    this.#dense = isDense(postings, this.#postings.size);
    this.#found = 0;
  }

  /** Adds the scores of a term to the sums: each score is a 32-bit float and the sum a double, as in Lucene. */
  add(term: number, weight: number): void {
    if (this.#dense) this.#addCommonTerm(term, weight);
    else this.#addTerm(term, weight);
  }

  /** Returns the best documents, and resets the sums to zero. */
  take(top: TopScores): RankedScores {
    if (this.#dense) this.#offerAllSums(top);
    else this.#offerSums(top);
    return top.take();
  }

  #addTerm(term: number, weight: number): void {
    const { documents, saturations, denominators, starts } = this.#postings;
    const sums = this.#sums;
    const list = this.#touched;
    const end = starts[term + 1]!;
    let found = this.#found;
    for (let at = starts[term]!; at < end; at++) {
      const share = Math.fround(weight - Math.fround(weight / denominators[saturations[at]!]!));
      if (share === 0) continue;
      const document = documents[at]!;
      const before = sums[document]!;
      if (before === 0) list[found++] = document;
      sums[document] = before + share;
    }
    this.#found = found;
  }

  /** {@link #addTerm} without a list of the documents touched. */
  #addCommonTerm(term: number, weight: number): void {
    const { documents, saturations, denominators, starts } = this.#postings;
    const sums = this.#sums;
    const end = starts[term + 1]!;
    for (let at = starts[term]!; at < end; at++) {
      sums[documents[at]!]! += Math.fround(weight - Math.fround(weight / denominators[saturations[at]!]!));
    }
  }

  #offerSums(top: TopScores): void {
    const sums = this.#sums;
    const list = this.#touched;
    let threshold = top.threshold;
    for (let at = 0; at < this.#found; at++) {
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
      if (sums[document]! < least) continue; // This one comparison also skips the zeros.
      top.offer(Math.fround(sums[document]!), document);
      least = leastSum(top.threshold);
    }
    sums.fill(0);
  }
}

/** Whether a query touches so much of the corpus that scanning every sum is faster than keeping a list. */
export function isDense(postings: number, size: number): boolean {
  return postings * DENSE_SHARE >= size;
}

/** Returns the total length of a query's lists. */
export function countPostings({ starts, terms }: TermQueries, query: number, lists: Postings): number {
  let postings = 0;
  for (let at = starts[query]!; at < starts[query + 1]!; at++) {
    postings += lists.starts[terms[at]! + 1]! - lists.starts[terms[at]!]!;
  }
  return postings;
}

/** Returns a positive lower bound of all sums that round to at least the threshold. */
function leastSum(threshold: number): number {
  return Math.max(Number.MIN_VALUE, threshold * (1 - 2 ** -23));
}
