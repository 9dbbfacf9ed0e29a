import { rankHits, type ScoredDocument } from '../measures/index.ts';
import type { Breather } from './breather.ts';
import type { ThreadHits } from './score-protocol.ts';

/**
 * Joins the threads' hits of each query into one ranking in trec_eval's order.
 * @param threads each thread's hits of a query stand best first
 * @param documentId id of a hit's number
 * @param k hits kept a query
 */
export async function mergeHits(
  threads: readonly ThreadHits[],
  documentId: (number: number) => string,
  k: number,
  breather: Breather,
): Promise<ScoredDocument[][]> {
  const merged: ScoredDocument[][] = [];
  const heads = new Uint32Array(threads.length);
  const ends = new Uint32Array(threads.length);
  for (let query = 0; query < threads[0]!.counts.length; query++) {
    for (const [thread, { counts }] of threads.entries()) {
      heads[thread] = ends[thread]!;
      ends[thread]! += counts[query]!;
    }
    merged.push(rankHits(mergeOne(threads, heads, ends, documentId, k)).slice(0, k));
    if (breather.due) await breather.rest();
  }
  return merged;
}

/** The `k` best by score, and all that equal the last of them. */
function mergeOne(
  threads: readonly ThreadHits[],
  heads: Uint32Array,
  ends: Uint32Array,
  documentId: (number: number) => string,
  k: number,
): ScoredDocument[] {
  const hits: ScoredDocument[] = [];
  for (;;) {
    let best = -1;
    let score = Number.NEGATIVE_INFINITY;
    for (let thread = 0; thread < threads.length; thread++) {
      if (heads[thread] === ends[thread] || threads[thread]!.scores[heads[thread]!]! < score) continue;
      best = thread;
      score = threads[thread]!.scores[heads[thread]!]!;
    }
    if (best < 0 || (hits.length >= k && score < hits[hits.length - 1]!.score)) return hits;
    hits.push({ id: documentId(threads[best]!.numbers[heads[best]!++]!), score });
  }
}
