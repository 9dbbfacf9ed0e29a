import { kthLargest, type RankedScores, type TopScores } from '../top-scores.ts';
import type { InvertedLists } from './inverted-lists.ts';
import { lowBits, type PostingEntries } from './postings.ts';
import type { SparseRows } from './sparse-rows.ts';

/** If the lists of a query are together longer than this fraction of the corpus, no list of touched documents is kept. */
const DENSE_SHARE = 8;

/** Sums that are looked at together; most of them are too small. */
const SCANNED = 4;

/** The part of the inverted lists that scores depend on, which threads share. */
export interface Postings extends PostingEntries, Pick<InvertedLists, 'starts' | 'denominators'> {
  /** Number of documents. */
  size: number;
}

/** Queries as bags of terms. The weight of a term is its idf times its count or weight in the query, as a 32-bit float. */
export type TermQueries = SparseRows;

/** Scores the complete corpus for one query after another: `begin`, `add` for each of its terms, `take`. */
export class Bm25Scorer {
  readonly #postings: Postings;
  /** Score of each document for the current query; zero between queries // [documents, rounded up to SCANNED] */
  readonly #sums: Float64Array;
  /** Documents with a score, if the query is not dense // [documents] */
  readonly #touched: Uint32Array;
  /** What each saturation adds to a score at the weight of the current term // [saturations] */
  readonly #shares: Float64Array;
  /** The bits of an entry that hold its saturation. */
  readonly #low: number;
  #found = 0;
  #dense = false;

  constructor(postings: Postings) {
    this.#postings = postings;
    this.#sums = new Float64Array(SCANNED * Math.ceil(postings.size / SCANNED));
    this.#touched = new Uint32Array(postings.size);
    this.#shares = new Float64Array(postings.denominators.length);
    this.#low = lowBits(postings.bits);
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
    const { entries, bits, saturations, denominators, starts } = this.#postings;
    const low = this.#low;
    const sums = this.#sums;
    const list = this.#touched;
    const end = starts[term + 1]!;
    let found = this.#found;
    for (let at = starts[term]!; at < end; at++) {
      const entry = entries[at]!;
      const share = shareOf(weight, denominators[saturations === undefined ? entry & low : saturations[at]!]!);
      if (share === 0) continue;
      const document = entry >>> bits;
      const before = sums[document]!;
      if (before === 0) list[found++] = document;
      sums[document] = before + share;
    }
    this.#found = found;
  }

  /** {@link #addTerm} without a list of the documents touched. Of a long list, each saturation is computed once. */
  #addCommonTerm(term: number, weight: number): void {
    const { entries, bits, saturations, denominators, starts } = this.#postings;
    const start = starts[term]!;
    const end = starts[term + 1]!;
    const shares = this.#shares;
    if (end - start >= shares.length) {
      for (let at = 0; at < shares.length; at++) shares[at] = shareOf(weight, denominators[at]!);
      if (saturations === undefined) this.#addLongList(start, end);
      else this.#addLongListApart(saturations, start, end);
      return;
    }
    const low = this.#low;
    const sums = this.#sums;
    for (let at = start; at < end; at++) {
      const entry = entries[at]!;
      sums[entry >>> bits]! += shareOf(
        weight,
        denominators[saturations === undefined ? entry & low : saturations[at]!]!,
      );
    }
  }

  /** Adds the shares of a list. Four postings are read before they are added: the processor then need not wait for each. */
  #addLongList(start: number, end: number): void {
    const { entries, bits } = this.#postings;
    const low = this.#low;
    const sums = this.#sums;
    const shares = this.#shares;
    let at = start;
    for (; at + 3 < end; at += 4) {
      const a = entries[at]!;
      const b = entries[at + 1]!;
      const c = entries[at + 2]!;
      const d = entries[at + 3]!;
      sums[a >>> bits]! += shares[a & low]!;
      sums[b >>> bits]! += shares[b & low]!;
      sums[c >>> bits]! += shares[c & low]!;
      sums[d >>> bits]! += shares[d & low]!;
    }
    for (; at < end; at++) sums[entries[at]! >>> bits]! += shares[entries[at]! & low]!;
  }

  /** {@link #addLongList} of a corpus whose saturations are in an array of their own. */
  #addLongListApart(saturations: Uint16Array | Uint32Array, start: number, end: number): void {
    const { entries } = this.#postings;
    const sums = this.#sums;
    const shares = this.#shares;
    let at = start;
    for (; at + 3 < end; at += 4) {
      const a = entries[at]!;
      const b = entries[at + 1]!;
      const c = entries[at + 2]!;
      const d = entries[at + 3]!;
      sums[a]! += shares[saturations[at]!]!;
      sums[b]! += shares[saturations[at + 1]!]!;
      sums[c]! += shares[saturations[at + 2]!]!;
      sums[d]! += shares[saturations[at + 3]!]!;
    }
    for (; at < end; at++) sums[entries[at]!]! += shares[saturations[at]!]!;
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
    const likely = likelyThreshold(sums, top.k);
    if (likely > 0) {
      top.threshold = Math.fround(likely);
      this.#offerSumsFrom(top);
      if (top.count < top.k) top.clear();
    }
    if (top.count < top.k) this.#offerSumsFrom(top);
    sums.fill(0);
  }

  #offerSumsFrom(top: TopScores): void {
    const sums = this.#sums;
    let least = leastSum(top.threshold);
    for (let start = 0; start < sums.length; start += SCANNED) {
      const a = sums[start]!;
      const b = sums[start + 1]!;
      const c = sums[start + 2]!;
      const d = sums[start + 3]!;
      if (a < least && b < least && c < least && d < least) continue;
      for (let document = start; document < start + SCANNED; document++) {
        if (sums[document]! < least) continue; // This one comparison also skips the zeros.
        top.offer(Math.fround(sums[document]!), document);
        least = leastSum(top.threshold);
      }
    }
  }
}

/** What a term adds to the score of a document: a 32-bit float, in 32-bit steps. */
export function shareOf(weight: number, denominator: number): number {
  return Math.fround(weight - Math.fround(weight / denominator));
}

/** One sum in so many is looked at to find a threshold. */
const SAMPLED = 32;

/** So few of the sample are kept in order; more are found by selection. */
const FEW = 64;

/**
 * Returns a number that the k-th best sum most likely reaches, from a sample: most of the others are then passed over with one
 * comparison. 0 if the sample would be too small.
 */
function likelyThreshold(sums: Float64Array, k: number): number {
  const expected = k / SAMPLED;
  // Three standard deviations more than the sample is expected to hold of the k best.
  const rank = Math.ceil(expected + 3 * Math.sqrt(expected)) + 2;
  const size = Math.floor(sums.length / SAMPLED);
  if (size < 4 * rank) return 0;
  if (rank <= FEW) return kthOfSample(sums, size, rank);
  const sample = new Float32Array(size);
  for (let at = 0; at < size; at++) sample[at] = sums[at * SAMPLED]!;
  return kthLargest(sample, rank);
}

/** The k-th best of the sample: almost every sum is below those kept so far, and costs one comparison. */
function kthOfSample(sums: Float64Array, size: number, k: number): number {
  const best = new Float64Array(k); // descending
  let least = 0;
  for (let sampled = 0; sampled < size; sampled++) {
    const value = sums[sampled * SAMPLED]!;
    if (value <= least) continue;
    let at = k - 1;
    for (; at > 0 && best[at - 1]! < value; at--) best[at] = best[at - 1]!;
    best[at] = value;
    least = best[k - 1]!;
  }
  return least;
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
